"""Debian packages by hash, into the store: from any repository that the host's apt knows, else through apt itself, else
from Debian's archive of old packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, files
from pipeline.oci import trust, wire
from pipeline.oci.error import ImageError
from pipeline.recipe import lost, snapshot
from pipeline.recipe.debian import Package
from pipeline.recipe.error import PackageError
from pipeline.recipe.places import ATTEMPTS, Gone, Places, in_folder, url_in
from pipeline.store import CHUNK, Store

VERSION = 1

CONNECTIONS = 4
"""Packages that are fetched at once: enough to hide a mirror's latency, few enough for its patience."""


def fetch(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> Digest:
    """A Tree of `packages` (JSON forms of Package), {NAME.deb: File}, every one checked against its size and sha256.

    recipe, arch: what they are for, for messages. Nothing is asked for what the store has. PackageError names every
    package that cannot be had (lost.AllLost if nobody has them any more); with NODEKILN_OFFLINE set, those that are
    neither in the store nor in a repository on this machine's disk.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [Package.parse(package) for package in packages]
    places = Places(arch)

    def attempt(package: Package) -> PackageError | None:
        try:
            _bring(store, package, places, recipe, arch)
        except PackageError as error:
            return error
        return None

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        errors = list(filter(None, pool.map(attempt, wanted)))
    if errors:
        raise lost.summed_up(errors)
    contents = ((f"{each.name}.deb", (Slice(each.digest, 0, each.size),)) for each in wanted)
    return store.put_tree(files(contents))


def _bring(store: Store, package: Package, places: Places, recipe: str, arch: str) -> None:
    """Have `package` in the store. Two recipes that want the same one wait for each other, not fetching it twice."""
    if store.has(package.digest):
        return
    with store.lock(package.digest.hex):
        if store.has(package.digest):
            return
        complaints: list[Exception] = []
        for receive in _ways(places):
            try:
                receive(store, package)
                return
            except (Gone, OSError, PackageError, ImageError) as error:
                complaints.append(error)
    raise lost.explained(recipe, arch, package, complaints)


def _ways(places: Places) -> Iterator[Callable[[Store, Package], None]]:
    """Functions that put a package into the store, the likeliest first."""
    for repository in places.repositories:
        yield partial(_from_repository, repository, places)
    if not is_offline():
        yield partial(_through_apt, places)
        if archive := snapshot.service():
            yield partial(_from_snapshot, archive, places)


def _from_repository(repository: str, places: Places, store: Store, package: Package) -> None:
    """Take `package` from the repository at this URI. Gone if it has it no more, OSError if nobody can tell."""
    scheme = repository.partition(":")[0]
    if scheme in ("file", "copy"):
        _receive(store, package, _local(in_folder(repository, package)))
    elif scheme not in ("http", "https"):
        raise OSError(f"{repository}: only apt speaks {scheme}")
    elif is_offline():
        raise OSError(f"{repository}: {VARIABLE} is set")
    else:
        _receive(store, package, _download(url_in(repository, package), places))


def _from_snapshot(archive: str, places: Places, store: Store, package: Package) -> None:
    """Take `package` from Debian's archive of old packages. Gone if that never had it, Unasked if nobody can tell."""
    try:
        urls = snapshot.urls(archive, package, places.proxies(archive))
    except (ImageError, PackageError) as error:
        raise lost.Unasked(str(error)) from None
    for url in urls:
        try:
            _receive(store, package, _download(url, places))
            return
        except OSError as error:
            if url == urls[-1]:
                raise OSError(f"{archive}: {error}") from None
    raise Gone(f"{archive} never had it")


def _local(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while data := file.read(CHUNK):
                yield data
    except FileNotFoundError:
        raise Gone(f"{path}: no such file") from None


def _download(url: str, places: Places) -> Iterator[bytes]:
    """The body at `url`. Gone if there is none; OSError and ImageError for whatever else goes wrong."""
    answer = wire.send("GET", url, {}, attempts=ATTEMPTS, proxies=places.proxies(url))
    if answer.status_code in (404, 410):
        answer.close()
        raise Gone(f"{trust.host(url)}: HTTP {answer.status_code}")
    if answer.status_code != 200:
        raise OSError(wire.complaint(answer))
    yield from wire.chunks(answer)


def _receive(store: Store, package: Package, pieces: Iterable[bytes]) -> None:
    """Put `pieces` into the store if they are `package`; OSError, as soon as it shows, if they are something else."""
    with store.create() as blob:
        for piece in pieces:
            blob.write(piece)
            if blob.size > package.size:
                raise OSError(f"{package.filename} is more than {package.size} bytes long")
        if blob.size < package.size:
            raise OSError(f"{package.filename} ended after {blob.size} of {package.size} bytes")
        if (digest := blob.commit()).hex != package.sha256:
            raise OSError(f"{package.filename} is not what was locked, but {digest}")


def _through_apt(places: Places, store: Store, package: Package) -> None:
    """Have apt fetch `package`: it speaks what we do not (mirror lists, tor, repositories that ask for a password)."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=places.archive.config.parent) as folder:  # nobody else writes there
        with store.lock("apt-download"):  # two at once take each other's mirror lists away
            places.archive.ask("apt-get", "download", "-qq", f"{package.name}={package.version}", folder=Path(folder))
        for path in Path(folder).iterdir():
            _receive(store, package, _local(path))
