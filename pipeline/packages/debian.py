"""Resolution of a recipe's package names to exact packages, by apt, from the host's repositories."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.packages.apt import Archive, debian_architecture, open_archive
from pipeline.packages.error import PackageError
from pipeline.packages.package import Package

_URI = re.compile(r"'(?P<uri>[^']*)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")


class PackageRequest(Protocol):
    """A request for the packages of the recipe in `folder` on `arch`.

    request: the arguments of `resolve` as JSON (`{"packages": […], "dependencies": …}`).
    """

    @property
    def arch(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def request(self) -> str: ...


R = TypeVar("R", bound=PackageRequest)


def resolve_all(requests: Iterable[R], state: Path) -> list[tuple[R, list[dict[str, Any]]]]:
    """Returns the packages (their JSON form) of each request. Requests do not influence each other.

    state: of apt, as in `open_archive`. PackageError names every recipe that cannot be resolved.
    """
    from concurrent.futures import ThreadPoolExecutor

    requests = list(requests)
    architectures = sorted({request.arch for request in requests})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        opened = pool.map(lambda arch: open_archive(state, debian_architecture(arch)), architectures)
        archives = dict(zip(architectures, opened, strict=True))
        futures = [pool.submit(resolve, archives[request.arch], **json.loads(request.request)) for request in requests]
    results, errors = [], []
    for request, future in zip(requests, futures, strict=True):
        try:
            results.append((request, [package.document() for package in future.result()]))
        except PackageError as error:
            errors += [f"{request.folder}/build.yml: {request.arch}: {line}" for line in str(error).splitlines()]
    if errors:
        raise PackageError("\n".join(errors))
    return results


def resolve(archive: Archive, packages: Sequence[str], dependencies: bool | Sequence[str] = True) -> list[Package]:
    """Returns `packages` and the dependencies that apt chooses for them, sorted by name.

    dependencies: False for none; patterns (`libc6`, `lib*`, `!perl*`) for those that a pattern matches and no pattern
    with `!`. Recommended packages are left out, and so are essential packages that nothing depends on. PackageError
    for unknown packages and for dependencies that cannot be satisfied.
    """
    if not packages:
        return []
    if dependencies is False:
        output = archive.query("apt-get", "download", "--print-uris", "-q", *packages)
    else:
        output = archive.query("apt-get", "install", "--print-uris", "-q", "--no-install-recommends", *packages)
    hashes = {_name_and_version(uri["file"]): uri["sha256"] for uri in _URI.finditer(output)}
    if not isinstance(dependencies, bool):
        names = {package.partition("=")[0] for package in packages}
        hashes = {key: sha256 for key, sha256 in hashes.items() if key[0] in names or selects(dependencies, key[0])}
    return _packages(archive, hashes)


def selects(patterns: Sequence[str], name: str) -> bool:
    """Returns whether a glob matches `name` and none with `!` does. Without positive globs all names match."""
    included = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatchcase(name, glob) for glob in included) and not any(fnmatchcase(name, glob) for glob in excluded)


def _packages(archive: Archive, hashes: Mapping[tuple[str, str], str]) -> list[Package]:
    """Returns the packages of `hashes` (name and version -> sha256), from their records in apt's lists."""
    records = archive.query("apt-cache", "show", *(f"{name}={version}" for name, version in hashes))
    suites = _suites(archive, [name for name, _ in hashes])
    parsed = filter(None, map(_package, records.split("\n\n")))
    packages = {each.sha256: each._replace(suite=suites.get((each.name, each.version), "")) for each in parsed}
    if missing := [name for (name, _), sha256 in hashes.items() if sha256 not in packages]:
        raise PackageError(f"apt has no record of {', '.join(missing)}")
    return sorted(packages[sha256] for sha256 in hashes.values())


def _suites(archive: Archive, names: Sequence[str]) -> dict[tuple[str, str], str]:
    """Returns name and version -> codename of the suite; the shortest of several, which the others are based on."""
    fields = "$(REPO_URI)\t$(RELEASE)\t$(CODENAME)"
    targets = archive.query("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    lines = [line.split("\t") for line in targets.splitlines()]
    codenames = {(uri.rstrip("/"), release.rstrip("/")): codename for uri, release, codename in lines}
    suites: dict[tuple[str, str], str] = {}
    for line in archive.query("apt-cache", "madison", *names).splitlines():
        name, version, source = (field.strip() for field in line.split("|"))
        uri, path, *_ = source.split()
        release = path.rpartition("/")[0] or path
        suite = codenames.get((uri.rstrip("/"), release)) or release
        suites[name, version] = min(suites.get((name, version), suite), suite, key=lambda each: (len(each), each))
    return suites


def _name_and_version(file: str) -> tuple[str, str]:
    """Splits `openssh-server_1%3a9.2p1-2_arm64.deb` into ("openssh-server", "1:9.2p1-2")."""
    name, version, _ = file.split("_", 2)
    return name, re.sub("%([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), version)


def _package(record: str) -> Package | None:
    """Parses a paragraph of a Packages file (deb-control(5)); None if it does not describe a package."""
    fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line and not line.startswith(" "))
    if "Filename" not in fields:
        return None
    filename = fields["Filename"].removeprefix("./")
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    return Package(name, version, architecture, filename, int(fields["Size"]), fields["SHA256"])
