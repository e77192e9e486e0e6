"""Stage: Debian packages by hash, into the store.

They come from the first place that has them: a mirror of their archive, else the archive of old versions (`_places`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from pipeline.host.offline import is_offline
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, files
from pipeline.oci.error import ImageError
from pipeline.oci.progress import Progress, transfer
from pipeline.packages import snapshot, unavailable
from pipeline.packages.error import NotInRepository, PackageError, SnapshotUnreachable
from pipeline.packages.mirrors import Mirrors
from pipeline.packages.package import Package
from pipeline.store import Store

VERSION = 1
HOST_STAGES = ("fetch",)
"""Stages that no other machine runs: it opens sockets."""

CONNECTIONS = 4
"""Packages that are requested at once: enough to hide a mirror's latency, few enough for its limits."""

Place = Callable[[Store, Package, Progress], None]
"""Puts a package into the store. NotInRepository if it is not there; another error if it is wrong, or unknown."""


def fetch(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> Digest:
    """Returns the Tree {NAME.deb: File} of `packages` (JSON forms of Package), verified by size and sha256.

    recipe, arch: for messages. Packages that the store has are not fetched. PackageError names every package that
    cannot be had (PackagesUnavailable if no place has them any more); with NODEKILN_OFFLINE set, those that are
    neither in the store nor in a mirror on this machine's disk.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [Package.parse(package) for package in packages]
    missing = [package for package in wanted if not store.has(package.digest)]
    mirrors = Mirrors()
    with (
        transfer(f"{recipe} ({arch}): packages", sum(package.size for package in missing)) as progress,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):

        def attempt(package: Package) -> PackageError | None:
            try:
                _fetch(store, package, mirrors, recipe, arch, progress)
            except PackageError as error:
                return error
            return None

        errors = list(filter(None, pool.map(attempt, missing)))
    if errors:
        raise unavailable.combined(errors)
    return store.put_tree(files((f"{each.name}.deb", (Slice(each.digest, 0, each.size),)) for each in wanted))


def _fetch(store: Store, package: Package, mirrors: Mirrors, recipe: str, arch: str, progress: Progress) -> None:
    """Puts `package` into the store. The lock makes recipes that share a package wait for each other."""
    with store.lock(package.digest.hex):
        if store.has(package.digest):
            return
        errors: list[Exception] = []
        for place in _places(package, mirrors):
            try:
                place(store, package, progress)
                return
            except (NotInRepository, OSError, PackageError, ImageError) as error:
                errors.append(error)
    raise unavailable.fetch_error(recipe, arch, package, errors)


def _places(package: Package, mirrors: Mirrors) -> Iterator[Place]:
    """Yields the places that may have `package`, in the order in which they are asked."""
    bases = [base for archive in package.archives for base in mirrors.bases(archive)]
    for base in bases:
        yield partial(_from_mirror, base, mirrors)
    if not bases:
        yield lambda *_: mirrors.refuse(package.archives[0])
    if not is_offline() and (service := snapshot.service(package.archive)):
        yield partial(_from_snapshot, service, mirrors)


def _from_mirror(base: str, mirrors: Mirrors, store: Store, package: Package, progress: Progress) -> None:
    """Fetches `package` from the mirror at `base`. NotInRepository; OSError if the mirror cannot be read."""
    _receive(store, package, mirrors.chunks(package.url(base)), progress)


def _from_snapshot(service: str, mirrors: Mirrors, store: Store, package: Package, progress: Progress) -> None:
    """Fetches `package` from the archive of old versions. NotInRepository, SnapshotUnreachable; OSError if wrong."""
    try:
        urls = snapshot.urls(service, package, mirrors)
    except (ImageError, PackageError) as error:
        raise SnapshotUnreachable(str(error)) from None
    fault: OSError | None = None
    for url in urls:
        try:
            _receive(store, package, mirrors.chunks(url), progress)
            return
        except NotInRepository:
            continue
        except OSError as error:
            fault = OSError(f"{service}: {error}")
    raise fault or NotInRepository(f"{service} never had it")


def _receive(store: Store, package: Package, chunks: Iterable[bytes], progress: Progress) -> None:
    """Stores `chunks` if they are `package`; OSError as soon as they are not."""
    with store.create() as blob:
        for chunk in chunks:
            blob.write(chunk)
            if blob.size > package.size:
                raise OSError(f"{package.filename} is more than {package.size} bytes long")
            progress(len(chunk))
        if blob.size < package.size:
            raise OSError(f"{package.filename} ended after {blob.size} of {package.size} bytes")
        if (digest := blob.commit()).hex != package.sha256:
            raise OSError(f"{package.filename} is not what was locked, but {digest}")
