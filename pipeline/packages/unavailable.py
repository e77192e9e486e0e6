"""Locked packages that no repository has any more: all of them in one error, with the one command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.oci.error import ImageError
from pipeline.packages import snapshot
from pipeline.packages.error import (
    FetchError,
    NotInRepository,
    PackageError,
    PackagesUnavailable,
    SnapshotUnreachable,
    UnavailablePackage,
    UnknownMirror,
)
from pipeline.packages.mirrors import Mirrors
from pipeline.packages.package import Package
from pipeline.store import Store

CONNECTIONS = 4
"""Packages that are looked for at once."""


def combined(errors: Sequence[PackageError]) -> PackageError:
    """Returns one error for several: PackagesUnavailable if they all are."""
    packages = [package for error in errors if isinstance(error, PackagesUnavailable) for package in error.packages]
    merged = FetchError.merged([error for error in errors if isinstance(error, FetchError)])
    single = [error for error in errors if not isinstance(error, (PackagesUnavailable, FetchError))]
    others = dict.fromkeys(str(error) for error in [*merged, *single])
    if not others:
        return PackagesUnavailable(packages)
    return PackageError("\n".join([*others, *(package.line for package in packages)]))


def fetch_error(recipe: str, arch: str, package: Package, errors: Sequence[Exception]) -> PackageError:
    """Returns the error for `package` after every attempt to fetch it failed with `errors`."""
    for error in errors:
        if isinstance(error, UnknownMirror):
            return error
    need = _need(recipe, arch, package)
    if is_offline():
        return PackageError(f"{need}, which is not in the store, and {VARIABLE} is set")
    kinds = {type(error) for error in errors}
    if NotInRepository in kinds and kinds <= {NotInRepository, PackageError, SnapshotUnreachable}:
        reason = next((str(error) for error in errors if isinstance(error, SnapshotUnreachable)), "")
        return PackagesUnavailable([UnavailablePackage(recipe, _line(recipe, arch, package, reason))])
    reasons = dict.fromkeys(map(str, errors))
    return FetchError(recipe, arch, [f"{package.name} {package.version}"], list(reasons))


def missing(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> list[UnavailablePackage]:
    """Returns those of `packages` that neither the store nor a place has; none is fetched.

    packages: JSON forms of Package, as in a lock. recipe, arch: for the message. A mirror that does not answer counts
    as one that has the package.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [package for package in map(Package.parse, packages) if not store.has(package.digest)]
    mirrors = Mirrors()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        available = list(pool.map(lambda package: _is_available(mirrors, package), wanted))
    pairs = zip(wanted, available, strict=True)
    return [UnavailablePackage(recipe, _line(recipe, arch, package, "")) for package, there in pairs if not there]


def _is_available(mirrors: Mirrors, package: Package) -> bool:
    bases = [base for archive in package.archives for base in mirrors.bases(archive)]
    try:
        if any(mirrors.has(package.url(base)) for base in bases):
            return True
    except ImageError:
        return True
    archive = snapshot.service(package.archive)
    try:
        return bool(archive) and any(map(mirrors.has, snapshot.urls(archive, package, mirrors)))
    except (ImageError, PackageError):
        return False


def _need(recipe: str, arch: str, package: Package) -> str:
    return f"{recipe} ({arch}) needs the package {package.name} {package.version}"


def _line(recipe: str, arch: str, package: Package, reason: str) -> str:
    """Returns the message about a package that no place has. reason: the error of the snapshot archive, or ""."""
    line = _need(recipe, arch, package) + ", which no mirror has any more"
    if not (archive := snapshot.service(package.archive)):
        return f"{line} ({snapshot.VARIABLE} is off)"
    return f"{line}, nor is it in the snapshot archive {archive}" + (
        f", which cannot be asked ({reason})" if reason else ""
    )
