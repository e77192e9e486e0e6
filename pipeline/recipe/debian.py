"""Debian packages by name: which ones, exactly, a recipe comes to. apt decides, from the host's repositories."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.recipe.apt import Archive, open_archive
from pipeline.recipe.error import PackageError

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy 5.6.1."""
_URI = re.compile(r"'(?P<uri>[^']*)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")


class Package(NamedTuple):
    """One binary package, exactly. `document()` is its JSON form in a lock and in the parameters of `fetch`."""

    name: str
    version: str
    architecture: str
    """As in the package: `all` for one that suits every architecture."""
    filename: str
    """Its path below a repository's root: `pool/main/o/openssh/openssh-server_9.2p1-2_arm64.deb`."""
    size: int
    sha256: str
    suite: str = ""
    """Codename of the suite that it was found in (`bookworm-security`); "" in locks from before it was recorded."""

    def document(self) -> dict[str, Any]:
        """As JSON: without a suite where that is not known."""
        return {field: value for field, value in self._asdict().items() if field != "suite" or value}

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self.sha256)

    @property
    def origin(self) -> str:
        """The suite as far as it is known: Debian's security archive has a pool of its own."""
        return self.suite or ("a security suite" if self.filename.startswith("pool/updates/") else "")

    @classmethod
    def parse(cls, unsafe_package: Any) -> Package:
        """The package whose JSON form this is, as a lock has it. BadInput if it is none."""
        try:
            package = cls(**unsafe_package)
            texts = (package.name, package.version, package.architecture, package.filename, package.suite)
            printable = all(type(each) is str and each.isprintable() for each in texts)
            if printable and _NAME.fullmatch(package.name) and package.size >= 0:
                Digest.parse("sha256:" + package.sha256)
                return package
        except (TypeError, ValueError):
            pass
        mends = user_command("lock --update NAME")
        raise BadInput(f"not a package: {str(unsafe_package)[:80]}… (restore the lock, or {mends})")


_ARCHITECTURES = {"386": "i386", "arm": "armhf", "mips64le": "mips64el", "ppc64le": "ppc64el"}


def debian_architecture(arch: str) -> str:
    """Debian's name for an architecture as images name it (GOARCH)."""
    return _ARCHITECTURES.get(arch, arch)


class PackageRequest(Protocol):
    """What a lock wants to know: the packages that the recipe `name` comes to on `arch`.

    request: JSON, the arguments of `resolve` (`{"packages": […], "dependencies": …}`).
    folder: the recipe's folder, for messages.
    """

    @property
    def name(self) -> str: ...
    @property
    def arch(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def request(self) -> str: ...


A = TypeVar("A", bound=PackageRequest)


def resolve_all(asked: Iterable[A], state: Path) -> list[tuple[A, list[dict[str, Any]]]]:
    """The packages (their JSON form) that everything in `asked` comes to, each for itself: recipes share no decisions.

    state: of apt, as in `open_archive`. PackageError names every recipe that cannot be resolved.
    """
    from concurrent.futures import ThreadPoolExecutor

    asked = list(asked)
    architectures = sorted({each.arch for each in asked})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        opened = pool.map(lambda arch: open_archive(state, debian_architecture(arch)), architectures)
        archives = dict(zip(architectures, opened, strict=True))
        futures = [pool.submit(resolve, archives[each.arch], **json.loads(each.request)) for each in asked]
    found, wrong = [], []
    for each, future in zip(asked, futures, strict=True):
        try:
            found.append((each, [package.document() for package in future.result()]))
        except PackageError as error:
            wrong += [f"{each.folder}/build.yml: {each.arch}: {line}" for line in str(error).splitlines()]
    if wrong:
        raise PackageError("\n".join(wrong))
    return found


def resolve(archive: Archive, packages: Sequence[str], dependencies: bool | Sequence[str] = True) -> list[Package]:
    """The `packages`, and what they need as apt decides it, sorted by name.

    dependencies: False for exactly those named; patterns (`libc6`, `lib*`, `!perl*`) keep of the packages that these
        need those that a pattern matches, and none that a pattern with `!` matches.
    Recommended packages are left out, and so are essential ones that nothing depends on. PackageError if a package is
    unknown or its dependencies cannot be satisfied.
    """
    if not packages:
        return []
    if dependencies is False:
        printed = archive.query("apt-get", "download", "--print-uris", "-q", *packages)
    else:
        printed = archive.query("apt-get", "install", "--print-uris", "-q", "--no-install-recommends", *packages)
    found = {_name_and_version(line["file"]): line["sha256"] for line in _URI.finditer(printed)}
    if not isinstance(dependencies, bool):
        named = {package.partition("=")[0] for package in packages}
        found = {key: sha256 for key, sha256 in found.items() if key[0] in named or selects(dependencies, key[0])}
    return _described(archive, found)


def selects(patterns: Sequence[str], name: str) -> bool:
    """Whether `patterns` take `name`: globs; those with `!` take away, from all there is if there are no others."""
    taken = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    not_taken = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatchcase(name, glob) for glob in taken) and not any(fnmatchcase(name, glob) for glob in not_taken)


def _described(archive: Archive, found: Mapping[tuple[str, str], str]) -> list[Package]:
    """`found` (name and version -> sha256) as packages, from their records in apt's lists."""
    records = archive.query("apt-cache", "show", *(f"{name}={version}" for name, version in found))
    suites = _suites(archive, [name for name, _ in found])
    known = (package for package in map(_package, records.split("\n\n")) if package)
    packages = {each.sha256: each._replace(suite=suites.get((each.name, each.version), "")) for each in known}
    if missing := [name for (name, _), sha256 in found.items() if sha256 not in packages]:
        raise PackageError(f"apt has no record of {', '.join(missing)}")
    return sorted(packages[sha256] for sha256 in found.values())


def _suites(archive: Archive, names: Sequence[str]) -> dict[tuple[str, str], str]:
    """Name and version -> the codename of the suite that has it; of several the shortest: the others belong to it."""
    fields = "$(REPO_URI)\t$(RELEASE)\t$(CODENAME)"
    listed = archive.query("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    lines = [line.split("\t") for line in listed.splitlines()]
    codenames = {(uri.rstrip("/"), release.rstrip("/")): codename for uri, release, codename in lines}
    found: dict[tuple[str, str], str] = {}
    for line in archive.query("apt-cache", "madison", *names).splitlines():
        name, version, source = (field.strip() for field in line.split("|"))
        uri, where, *_ = source.split()
        release = where.rpartition("/")[0] or where
        suite = codenames.get((uri.rstrip("/"), release)) or release
        found[name, version] = min(found.get((name, version), suite), suite, key=lambda each: (len(each), each))
    return found


def _name_and_version(file: str) -> tuple[str, str]:
    """`openssh-server_1%3a9.2p1-2_arm64.deb` -> ("openssh-server", "1:9.2p1-2")."""
    name, version, _ = file.split("_", 2)
    return name, re.sub("%([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), version)


def _package(record: str) -> Package | None:
    """A paragraph of a Packages file (deb-control(5)) as a package; None for what is none."""
    fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line and not line.startswith(" "))
    if "Filename" not in fields:
        return None
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        filename=fields["Filename"].removeprefix("./"),
        size=int(fields["Size"]),
        sha256=fields["SHA256"],
    )
