"""Requests of recipes: names of packages become exact ones, all recipes of a lock at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from pipeline.packages import index, sources
from pipeline.packages.error import PackageError
from pipeline.packages.package import Package
from pipeline.packages.resolve import choose
from pipeline.packages.universe import Index, Universe, universe

_ARCHITECTURES = {"386": "i386", "arm": "armhf", "mips64le": "mips64el", "ppc64le": "ppc64el"}


class PackageRequest(Protocol):
    """A request for the packages of the recipe in `folder` on `arch`, by the sources of `release`.

    request: JSON, `{"packages": […], "dependencies": …, "sources": […]}`; the sources as `Source.lines` has them.
    """

    @property
    def arch(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def release(self) -> str: ...


class Resolved(NamedTuple):
    """The packages of a request, and the suites that they were chosen from, in their JSON forms.

    dates: `debian trixie` -> ISO 8601. archives: `debian trixie` -> who signed what (archive_signature).
    """

    packages: list[dict[str, Any]]
    dates: Mapping[str, str]
    archives: Mapping[str, Any]


R = TypeVar("R", bound=PackageRequest)


def debian_architecture(arch: str) -> str:
    """Returns Debian's name for an architecture of an image (GOARCH)."""
    return _ARCHITECTURES.get(arch, arch)


def resolve_all(requests: Iterable[R]) -> list[tuple[R, Resolved]]:
    """Returns the packages of each request. Requests do not influence each other.

    Each index is opened once. PackageError names every recipe that cannot be resolved.
    """
    requests = list(requests)
    indexes = _open(requests)
    results, errors = [], []
    for request in requests:
        try:
            results.append((request, _resolve(request, indexes[request.release, request.arch])))
        except PackageError as error:
            errors += [f"{request.folder}/build.yml: {request.arch}: {line}" for line in str(error).splitlines()]
    if errors:
        raise PackageError("\n".join(errors))
    return results


def _open(requests: Sequence[PackageRequest]) -> dict[tuple[str, str], list[Index]]:
    """Returns the indexes for each release and architecture (GOARCH) of `requests`."""
    known, result = sources.load(), {}
    for release in dict.fromkeys(request.release for request in requests):
        arches = dict.fromkeys(request.arch for request in requests if request.release == release)
        opened = index.open_all(known(release), map(debian_architecture, arches))
        result.update({(release, arch): opened[debian_architecture(arch)] for arch in arches})
    return result


def _resolve(request: PackageRequest, indexes: Sequence[Index]) -> Resolved:
    arguments = {key: value for key, value in json.loads(request.request).items() if key != "sources"}
    architecture = debian_architecture(request.arch)
    packages = choose(indexes, architecture, **arguments) if arguments["packages"] else []
    _check_contents(universe(tuple(indexes), architecture), packages)
    dates = {f"{each.archive} {each.suite}": each.date for each in indexes}
    return Resolved([package.document() for package in packages], dates, _archives(indexes))


def _archives(indexes: Iterable[Index]) -> dict[str, Any]:
    """Returns the signature of each suite, and the digests of its indexes by path."""
    archives: dict[str, Any] = {}
    for each in indexes:
        document = archives.setdefault(f"{each.archive} {each.suite}", {**each.signature.document(), "indexes": {}})
        document["indexes"][each.entry.path] = f"sha256:{each.entry.sha256}"
    return archives


def _check_contents(available: Universe, packages: Iterable[Package]) -> None:
    """Raises PackageError if two sources have other contents under a package's name and version."""
    faults = []
    for package in packages:
        for version in available.versions(package.name):
            for other, record in version.sources if version.version == package.version else ():
                if (sha256 := record.get("sha256")) != package.sha256:
                    there = f"{package.archive} {package.suite} and another in {other.archive} {other.suite}"
                    hashes = f"{package.sha256[:12]}, {sha256!s:.12}"
                    remedy = "leave one of the two out of sources.yml"
                    faults.append(f"{package.name} {package.version} is one file in {there} ({hashes}): {remedy}")
    if faults:
        raise PackageError("\n".join(faults))
