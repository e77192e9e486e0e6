"""Locked packages that no repository has any more: all of them in one error, with the one command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.oci import http
from pipeline.oci.error import ImageError
from pipeline.packages import apt, snapshot
from pipeline.packages.apt import Repositories
from pipeline.packages.error import (
    NotInRepository,
    PackageError,
    PackagesUnavailable,
    SnapshotUnreachable,
    UnavailablePackage,
)
from pipeline.packages.package import Package
from pipeline.store import Store

_ALIASES = ("stable", "testing")
"""Suite names that mean another release from time to time."""


def combined(errors: Sequence[PackageError]) -> PackageError:
    """Returns one error for several: PackagesUnavailable if they all are."""
    packages = [package for error in errors if isinstance(error, PackagesUnavailable) for package in error.packages]
    others = [str(error) for error in errors if not isinstance(error, PackagesUnavailable)]
    if not others:
        return PackagesUnavailable(packages)
    return PackageError("\n".join([*others, *(package.line for package in packages)]))


def fetch_error(recipe: str, arch: str, package: Package, errors: Sequence[Exception]) -> PackageError:
    """Returns the error for `package` after every attempt to fetch it failed with `errors`."""
    need = _need(recipe, arch, package)
    if is_offline():
        return PackageError(f"{need}, which is not in the store, and {VARIABLE} is set")
    kinds = {type(error) for error in errors}
    if NotInRepository in kinds and kinds <= {NotInRepository, PackageError, SnapshotUnreachable}:
        reason = next((str(error) for error in errors if isinstance(error, SnapshotUnreachable)), "")
        return PackagesUnavailable([UnavailablePackage(recipe, _line(recipe, arch, package, reason))])
    return PackageError("\n  ".join([f"{need}, which cannot be fetched:", *map(str, errors)]))


def missing(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> list[UnavailablePackage]:
    """Returns those of `packages` that neither the store nor a repository has; none is fetched.

    packages: JSON forms of Package, as in a lock. recipe, arch: for the message. A repository that does not answer
    counts as one that has the package.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [package for package in map(Package.parse, packages) if not store.has(package.digest)]
    repositories = Repositories(arch)
    with ThreadPoolExecutor(snapshot.CONNECTIONS) as pool:
        available = list(pool.map(lambda package: _is_available(repositories, package), wanted))
    pairs = zip(wanted, available, strict=True)
    return [UnavailablePackage(recipe, _line(recipe, arch, package, "")) for package, there in pairs if not there]


def _is_available(repositories: Repositories, package: Package) -> bool:
    try:
        if any(_has(uri, repositories, package) for uri in repositories.uris):
            return True
    except ImageError:
        return True
    archive = snapshot.service()
    try:
        return bool(archive and snapshot.urls(archive, package, repositories.proxies(archive)))
    except (ImageError, PackageError):
        return False


def _has(repository: str, repositories: Repositories, package: Package) -> bool:
    if repository.startswith(("file:", "copy:")):
        return package.path(repository).exists()
    if not repository.startswith(("http://", "https://")):
        return True
    url = package.url(repository)
    with closing(http.send("HEAD", url, {}, attempts=snapshot.ATTEMPTS, proxies=repositories.proxies(url))) as response:
        return response.status_code not in (404, 410)


def _need(recipe: str, arch: str, package: Package) -> str:
    return f"{recipe} ({arch}) needs the package {package.name} {package.version}"


def _line(recipe: str, arch: str, package: Package, reason: str) -> str:
    """Returns the message about a package that no repository has. reason: the error of the snapshot archive, or ""."""
    foreign = f" from {package.origin}, which is not in the host's apt sources" if _is_foreign(package) else ""
    line = _need(recipe, arch, package) + (foreign or ", which no mirror has any more")
    if not (archive := snapshot.service()):
        return f"{line} ({snapshot.VARIABLE} is off)"
    return f"{line}, nor is it in the snapshot archive {archive}" + (
        f", which cannot be asked ({reason})" if reason else ""
    )


def _is_foreign(package: Package) -> bool:
    """Returns whether `package` is of a suite that the host's apt sources lack."""
    suites = apt.suites()
    if not suites or any(suite.partition("-")[0].endswith(_ALIASES) for suite in suites):
        return False
    if package.suite:
        return package.suite not in suites
    return bool(package.origin) and not any("security" in suite for suite in suites)
