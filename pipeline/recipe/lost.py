"""Lost: locked packages that cannot be had any more. All of them are named at once, with one command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.oci import wire
from pipeline.oci.error import ImageError
from pipeline.recipe import apt, snapshot
from pipeline.recipe.debian import Package
from pipeline.recipe.error import AllLost, Lost, PackageError
from pipeline.recipe.places import ATTEMPTS, Gone, Places, in_folder, url_in
from pipeline.store import Store

_MOVING = ("stable", "testing")
"""Ends of the names that mean another release from time to time: which one is not known here."""

AT_ONCE = 4
"""Packages that are asked for at a time."""


class Unasked(PackageError):
    """The archive of old packages cannot be asked."""


def summed_up(errors: Sequence[PackageError]) -> PackageError:
    """One error for several: AllLost if they all are."""
    lost = [each for error in errors if isinstance(error, AllLost) for each in error.lost]
    others = [str(error) for error in errors if not isinstance(error, AllLost)]
    return PackageError("\n".join([*others, *(each.line for each in lost)])) if others else AllLost(lost)


def explained(recipe: str, arch: str, package: Package, complaints: Sequence[Exception]) -> PackageError:
    """The error when everything that was tried for `package` ended in `complaints`."""
    what = _what(recipe, arch, package)
    if is_offline():
        return PackageError(f"{what}, which is not in the store, and {VARIABLE} is set")
    kinds = {type(error) for error in complaints}
    if Gone in kinds and kinds <= {Gone, PackageError, Unasked}:
        unasked = next((str(error) for error in complaints if isinstance(error, Unasked)), "")
        return AllLost([Lost(recipe, _line(recipe, arch, package, unasked))])
    return PackageError("\n  ".join([f"{what}, which cannot be fetched:", *map(str, complaints)]))


def missing(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> list[Lost]:
    """Those of `packages` (JSON forms, as a lock has them) that nobody has any more; none is fetched.

    recipe, arch: what they are for. A repository that cannot be asked counts as one that has them.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [each for each in map(Package.parse, packages) if not store.has(each.digest)]
    places = Places(arch)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        there = list(pool.map(lambda package: _is_somewhere(places, package), wanted))
    return [Lost(recipe, _line(recipe, arch, each, "")) for each, found in zip(wanted, there, strict=True) if not found]


def _is_somewhere(places: Places, package: Package) -> bool:
    archive = snapshot.service()
    try:
        if any(_is_in(repository, places, package) for repository in places.repositories):
            return True
    except ImageError:
        return True
    try:
        return bool(archive and snapshot.urls(archive, package, places.proxies(archive)))
    except (ImageError, PackageError):
        return False


def _is_in(repository: str, places: Places, package: Package) -> bool:
    if repository.startswith(("file:", "copy:")):
        return in_folder(repository, package).exists()
    if not repository.startswith(("http://", "https://")):
        return True
    url = url_in(repository, package)
    with closing(wire.send("HEAD", url, {}, attempts=ATTEMPTS, proxies=places.proxies(url))) as answer:
        return answer.status_code not in (404, 410)


def _what(recipe: str, arch: str, package: Package) -> str:
    return f"{recipe} ({arch}) needs the package {package.name} {package.version}"


def _line(recipe: str, arch: str, package: Package, unasked: str) -> str:
    """The line about a package that nobody has. unasked: why the archive of old packages could not be asked."""
    where = f" from {package.origin}, which is not in the host's apt sources" if _is_foreign(package) else ""
    gone = where or ", which no mirror has any more"
    archive = snapshot.service()
    if not archive:
        return f"{_what(recipe, arch, package)}{gone} ({snapshot.VARIABLE} is off)"
    reason = f", which cannot be asked ({unasked})" if unasked else ""
    return f"{_what(recipe, arch, package)}{gone}, nor is it in the snapshot archive {archive}{reason}"


def _is_foreign(package: Package) -> bool:
    """Whether `package` is of a suite that the host's apt sources lack."""
    known = apt.suites()
    if not known or any(name.partition("-")[0].endswith(_MOVING) for name in known):
        return False
    if package.suite:
        return package.suite not in known
    return bool(package.origin) and not any("security" in name for name in known)
