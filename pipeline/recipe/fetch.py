"""Debian packages by hash: from any repository that the host's apt knows, else through apt itself, into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.digest import Digest
from pipeline.offline import VARIABLE, is_offline
from pipeline.recipe.apt import Archive, PackageError, open_archive, proxies, repositories, state_folder
from pipeline.recipe.debian import Package, debian_architecture
from pipeline.store import CHUNK, Store
from pipeline.tree import Slice, files

if TYPE_CHECKING:
    import requests

VERSION = 1

CONNECTIONS = 4
"""Packages that are fetched at once: enough to hide a mirror's latency, few enough for its patience."""
TRIES = 2
"""Times that a repository is asked again when the connection stalls or breaks, or it answers that it is busy."""
TIMEOUT = (10, 20)
"""Seconds to wait for a connection, and for more data on it."""


class _Gone(Exception):
    """A repository does not have the file."""


class _Sources:
    """Where packages come from. What it takes to ask there is made when it is first needed, once for all packages."""

    def __init__(self, arch: str) -> None:
        self._arch = arch

    def ways(self) -> Iterator[Callable[[Store, Package], None]]:
        """Functions that put a package into the store, the likeliest first."""
        for repository in self.repositories:
            yield partial(_from_repository, repository, self)
        if not is_offline():
            yield partial(_through_apt, self)

    @cached_property
    def repositories(self) -> tuple[str, ...]:
        return repositories()

    @cached_property
    def session(self) -> requests.Session:
        return _session()

    @cached_property
    def archive(self) -> Archive:
        return open_archive(state_folder(), debian_architecture(self._arch))

    def close(self) -> None:
        if "session" in self.__dict__:
            self.session.close()


def fetch(store: Store, *, recipe: str, arch: str, packages: Sequence[Any]) -> Digest:
    """A Tree of `packages` (JSON forms of Package), {NAME.deb: File}, every one checked against its size and sha256.

    recipe, arch: what they are for, for messages. Nothing is asked for what the store has. PackageError if a package
    cannot be had; with NODEKILN_OFFLINE set, if it is not in the store or in a repository on this machine's disk.
    """
    from concurrent.futures import ThreadPoolExecutor

    wanted = [Package.parse(package) for package in packages]
    with ThreadPoolExecutor(CONNECTIONS) as pool, closing(_Sources(arch)) as sources:
        blobs = list(pool.map(lambda package: _blob(store, package, sources, recipe, arch), wanted))
    contents = ((f"{each.name}.deb", (Slice(blob, 0, each.size),)) for each, blob in zip(wanted, blobs, strict=True))
    return store.put_tree(files(contents))


def _blob(store: Store, package: Package, sources: _Sources, recipe: str, arch: str) -> Digest:
    """`package` as a blob. Two recipes that want the same one wait for each other instead of fetching it twice."""
    digest = Digest("sha256:" + package.sha256)
    if store.has(digest):
        return digest
    with store.lock(digest.hex):
        if store.has(digest):
            return digest
        complaints: list[_Gone | OSError | PackageError] = []
        for receive in sources.ways():
            try:
                receive(store, package)
                return digest
            except (_Gone, OSError, PackageError) as error:
                complaints.append(error)
    what = f"{recipe} ({arch}) needs the package {package.name} {package.version}"
    raise PackageError(_explained(what, recipe, complaints))


def _explained(what: str, recipe: str, complaints: Sequence[Exception]) -> str:
    """The error's text: `what` is needed, and everything that was tried ended in `complaints`."""
    if is_offline():
        return f"{what}, which is not in the store, and {VARIABLE} is set"
    kinds = {type(error) for error in complaints}
    if _Gone in kinds and kinds <= {_Gone, PackageError}:
        return f"{what}, which no mirror has any more: `doit lock --update {recipe}` moves it to the version of today"
    return "\n  ".join([f"{what}, which cannot be fetched:", *map(str, complaints)])


def _from_repository(repository: str, sources: _Sources, store: Store, package: Package) -> None:
    """Take `package` from the repository at this URI. _Gone if it has it no more, OSError if nobody can tell."""
    from urllib.parse import quote, unquote, urlsplit

    where = urlsplit(repository)
    if where.scheme in ("file", "copy"):
        _receive(store, package, _local(Path(unquote(where.path), package.filename)))
    elif where.scheme not in ("http", "https"):
        raise OSError(f"{repository}: only apt speaks {where.scheme}")
    elif is_offline():
        raise OSError(f"{repository}: {VARIABLE} is set")
    else:
        url = repository.rstrip("/") + "/" + quote(package.filename)
        _receive(store, package, _download(sources.session, url))


def _local(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while data := file.read(CHUNK):
                yield data
    except FileNotFoundError:
        raise _Gone(f"{path}: no such file") from None


def _download(session: requests.Session, url: str) -> Iterator[bytes]:
    """The body at `url`. _Gone if there is none; requests' own errors are OSErrors."""
    with session.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code in (404, 410):
            raise _Gone(f"{url}: HTTP {answer.status_code}")
        answer.raise_for_status()
        yield from answer.iter_content(CHUNK)


def _session() -> requests.Session:
    """Connections to mirrors, shared by all threads, so that a hundred small packages need a handful of them."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    retry = Retry(TRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    session = requests.Session()
    session.proxies.update(proxies())
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=retry))
    return session


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


def _through_apt(sources: _Sources, store: Store, package: Package) -> None:
    """Have apt fetch `package`: it speaks what we do not (mirror lists, tor, repositories that ask for a password)."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=sources.archive.config.parent) as folder:  # nobody else writes there
        with store.lock("apt-download"):  # two at once take each other's mirror lists away
            sources.archive.ask("apt-get", "download", "-qq", f"{package.name}={package.version}", folder=Path(folder))
        for path in Path(folder).iterdir():
            _receive(store, package, _local(path))
