"""Stage: Debian packages by hash, into the store.

They come from a repository of the host's apt, else through apt itself, else from Debian's archive of old packages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, files
from pipeline.oci import http, trust
from pipeline.oci.error import ImageError
from pipeline.packages import snapshot, unavailable
from pipeline.packages.apt import Repositories
from pipeline.packages.error import NotInRepository, PackageError, SnapshotUnreachable
from pipeline.packages.package import Package
from pipeline.store import CHUNK, Store

VERSION = 1


def fetch(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> Digest:
    """Returns the Tree {NAME.deb: File} of `packages` (JSON forms of Package), verified by size and sha256.

    recipe, arch: for messages. Packages that the store has are not fetched. PackageError names every package that
    cannot be had (PackagesUnavailable if no repository has them any more); with NODEKILN_OFFLINE set, those that are
    neither in the store nor in a repository on this machine's disk.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [Package.parse(package) for package in packages]
    repositories = Repositories(arch)

    def attempt(package: Package) -> PackageError | None:
        try:
            _fetch(store, package, repositories, recipe, arch)
        except PackageError as error:
            return error
        return None

    with ThreadPoolExecutor(snapshot.CONNECTIONS) as pool:
        errors = list(filter(None, pool.map(attempt, wanted)))
    if errors:
        raise unavailable.combined(errors)
    return store.put_tree(files((f"{each.name}.deb", (Slice(each.digest, 0, each.size),)) for each in wanted))


def _fetch(store: Store, package: Package, repositories: Repositories, recipe: str, arch: str) -> None:
    """Puts `package` into the store. The lock makes recipes that share a package wait for each other."""
    if store.has(package.digest):
        return
    with store.lock(package.digest.hex):
        if store.has(package.digest):
            return
        errors: list[Exception] = []
        for receive in _methods(repositories):
            try:
                receive(store, package)
                return
            except (NotInRepository, OSError, PackageError, ImageError) as error:
                errors.append(error)
    raise unavailable.fetch_error(recipe, arch, package, errors)


def _methods(repositories: Repositories) -> Iterator[Callable[[Store, Package], None]]:
    """Yields functions that put a package into the store, the likeliest to succeed first."""
    for uri in repositories.uris:
        yield partial(_from_repository, uri, repositories)
    if not is_offline():
        yield partial(_through_apt, repositories)
        if archive := snapshot.service():
            yield partial(_from_snapshot, archive, repositories)


def _from_repository(uri: str, repositories: Repositories, store: Store, package: Package) -> None:
    """Fetches `package` from the repository `uri`. NotInRepository; OSError if the repository cannot be read."""
    scheme = uri.partition(":")[0]
    if scheme in ("file", "copy"):
        _receive(store, package, _read(package.path(uri)))
    elif scheme not in ("http", "https"):
        raise OSError(f"{uri}: only apt speaks {scheme}")
    elif is_offline():
        raise OSError(f"{uri}: {VARIABLE} is set")
    else:
        _receive(store, package, _download(package.url(uri), repositories))


def _from_snapshot(archive: str, repositories: Repositories, store: Store, package: Package) -> None:
    """Fetches `package` from the snapshot archive. NotInRepository, SnapshotUnreachable; OSError for wrong content."""
    try:
        urls = snapshot.urls(archive, package, repositories.proxies(archive))
    except (ImageError, PackageError) as error:
        raise SnapshotUnreachable(str(error)) from None
    for url in urls:
        try:
            _receive(store, package, _download(url, repositories))
            return
        except OSError as error:
            if url == urls[-1]:
                raise OSError(f"{archive}: {error}") from None
    raise NotInRepository(f"{archive} never had it")


def _read(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while data := file.read(CHUNK):
                yield data
    except FileNotFoundError:
        raise NotInRepository(f"{path}: no such file") from None


def _download(url: str, repositories: Repositories) -> Iterator[bytes]:
    """Yields the body at `url`. NotInRepository if there is none; OSError and ImageError for any other failure."""
    response = http.send("GET", url, {}, attempts=snapshot.ATTEMPTS, proxies=repositories.proxies(url))
    if response.status_code in (404, 410):
        response.close()
        raise NotInRepository(f"{trust.host(url)}: HTTP {response.status_code}")
    if response.status_code != 200:
        raise OSError(http.complaint(response))
    yield from http.chunks(response)


def _receive(store: Store, package: Package, chunks: Iterable[bytes]) -> None:
    """Stores `chunks` if they are `package`; OSError as soon as they are not."""
    with store.create() as blob:
        for chunk in chunks:
            blob.write(chunk)
            if blob.size > package.size:
                raise OSError(f"{package.filename} is more than {package.size} bytes long")
        if blob.size < package.size:
            raise OSError(f"{package.filename} ended after {blob.size} of {package.size} bytes")
        if (digest := blob.commit()).hex != package.sha256:
            raise OSError(f"{package.filename} is not what was locked, but {digest}")


def _through_apt(repositories: Repositories, store: Store, package: Package) -> None:
    """Fetches `package` with apt, which has more transports: mirror lists, tor, repositories with a password."""
    import tempfile

    archive = repositories.archive
    with tempfile.TemporaryDirectory(dir=archive.config.parent) as folder:  # only this user can write there
        with store.lock("apt-download"):  # concurrent runs would delete each other's mirror lists
            archive.query("apt-get", "download", "-qq", f"{package.name}={package.version}", folder=Path(folder))
        for path in Path(folder).iterdir():
            _receive(store, package, _read(path))
