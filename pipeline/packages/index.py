"""Indexes: the Packages files of a release's suites, verified from the archive's keys down to the last byte.

A suite's Release file lists them by size and SHA-256. They are kept in its folder by SHA-256, uncompressed if they are
listed so. Debian's repository format: https://wiki.debian.org/DebianRepository/Format.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from typing import TypeVar

from pipeline.host import atomic
from pipeline.host.offline import VARIABLE as OFFLINE
from pipeline.host.offline import is_offline
from pipeline.language.problem import suggestion
from pipeline.oci import decompress, http
from pipeline.oci.error import ImageError
from pipeline.oci.progress import transfer
from pipeline.packages.error import NotInRepository, PackageError, SuiteUnreadable
from pipeline.packages.mirrors import ATTEMPTS, LOCAL, Mirrors
from pipeline.packages.release import Entry
from pipeline.packages.sources import Source
from pipeline.packages.state import state_folder
from pipeline.packages.suite import OpenSuite, open_suite, suites
from pipeline.packages.universe import Index
from pipeline.store import CHUNK

SUFFIXES = (".xz", ".zst", ".gz", "")
"""Forms of an index that are read."""
INDEX_LIMIT = 1 << 30
"""Maximum size of an index, compressed or not, in bytes; the largest of Debian has 60 MB."""
DECODER_MEMORY = 256 << 20
"""Maximum memory of an xz decoder, in bytes; `xz -9` needs 65 MiB."""
CONNECTIONS = 4
"""Indexes that are requested at once."""

V = TypeVar("V")
R = TypeVar("R")


def open_all(
    sources: Iterable[Source], architectures: Iterable[str], mirrors: Mirrors | None = None
) -> dict[str, list[Index]]:
    """Returns the indexes of `sources` for each architecture (Debian's names), in the order of the sources.

    All are requested side by side, each once. PackageError has a line for each fault.
    """
    mirrors, architectures = mirrors or Mirrors(), tuple(architectures)
    wanted = [source for source in sources if any(map(source.has, architectures))]
    named = dict.fromkeys(source.name for source in wanted if not source.day)
    if (unknown := [name for name in named if not mirrors.bases(name)]) and not is_offline():
        mirrors.refuse(*unknown)
    opened = _side_by_side(lambda suite: open_suite(suite, mirrors), suites(wanted, state_folder()))
    pairs = [(suite, architecture) for suite in opened for architecture in architectures]
    found = _side_by_side(lambda pair: _indexes(*pair, mirrors), pairs)
    result: dict[str, list[Index]] = {architecture: [] for architecture in architectures}
    for (_, architecture), indexes in zip(pairs, found, strict=True):
        result[architecture] += indexes
    return result


def _side_by_side(call: Callable[[V], R], values: Sequence[V]) -> list[R]:
    """Returns the results of `call`, in order; PackageError with the lines of all that failed."""
    from concurrent.futures import ThreadPoolExecutor

    def attempt(value: V) -> R | PackageError:
        try:
            return call(value)
        except PackageError as error:
            return error

    with ThreadPoolExecutor(CONNECTIONS) as pool:  # with the context of this thread, for the display of progress
        futures = [pool.submit(copy_context().run, attempt, value) for value in values]
        results = [future.result() for future in futures]
    if errors := [each for each in results if isinstance(each, PackageError)]:
        lines = SuiteUnreadable.lines([each for each in errors if isinstance(each, SuiteUnreadable)])
        lines += [str(each) for each in errors if not isinstance(each, SuiteUnreadable)]
        raise PackageError("\n".join(dict.fromkeys(lines)))
    return [each for each in results if not isinstance(each, PackageError)]


def _indexes(opened: OpenSuite, architecture: str, mirrors: Mirrors) -> list[Index]:
    """Returns a suite's indexes for `architecture`, one for each component; with those of `all` that are separate."""
    suite, release, *_ = opened
    if not suite.source.has(architecture):
        return []
    if release.architectures and architecture not in release.architectures:
        there = ", ".join(each for each in release.architectures if each != "all")
        hint = "name the architectures of its source in sources.yml, if it shall be left out there"
        raise PackageError(f"{suite} has no packages for {architecture}, but for {there} ({hint})")
    result = []
    for component in suite.source.components:
        names = [architecture, *(["all"] if release.separate_all else [])]
        for name in names:
            path = f"{component}/binary-{name}/Packages"
            if name == "all" and not _listed(opened, path):
                continue
            data, entry = _data(opened, component, path, mirrors)
            place = suite.source.name, suite.name, component
            result.append(Index(*place, release.iso_date, release.priority, data, entry, opened.signature))
    return result


def _listed(opened: OpenSuite, path: str) -> list[Entry]:
    """Returns the forms of an index that the Release file lists: the smallest first, and the uncompressed one last.

    Mirrors of Debian do not have that one, an empty index included, where it is the smallest.
    """
    files = opened.release.files
    forms = (files[path + suffix] for suffix in SUFFIXES if path + suffix in files)
    return sorted(forms, key=lambda each: (each.path.endswith("/Packages"), each.size))


def _data(opened: OpenSuite, component: str, path: str, mirrors: Mirrors) -> tuple[bytes, Entry]:
    """Returns an index, uncompressed, and the listed file that it is: the one that is kept, else one of a mirror."""
    suite, release, bases, _ = opened
    forms = _listed(opened, path)
    if not forms:
        components = sorted({each.split("/binary-")[0] for each in release.files if "/binary-" in each})
        hint = suggestion(component, components) or f"it has {', '.join(components) or 'none'}"
        raise PackageError(f"{suite} has no component {component} ({hint})")
    for entry in forms:
        if entry.size > INDEX_LIMIT:
            raise PackageError(f"{suite}: {entry.path} has {entry.size} bytes, more than {INDEX_LIMIT}")
    whole = release.files.get(path)
    for entry in [whole] if whole else forms:
        if (data := _kept(opened, entry)) is not None:
            return data if whole else _decompressed(entry, data, INDEX_LIMIT), entry
    if is_offline() and not (bases and bases[0].startswith(LOCAL)):
        raise PackageError(f"{suite}: {path} is not in the cache, and {OFFLINE} is set")
    return _received(opened, forms, whole, mirrors)


def _kept(opened: OpenSuite, entry: Entry) -> bytes | None:
    """Returns a listed file that is kept; None if it is not there as it is listed."""
    with contextlib.suppress(FileNotFoundError):
        data = (opened.suite.folder / entry.sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() == entry.sha256:
            return data
    return None


def _received(opened: OpenSuite, forms: Sequence[Entry], whole: Entry | None, mirrors: Mirrors) -> tuple[bytes, Entry]:
    """Returns an index, uncompressed, and the listed file that is kept of it. PackageError.

    forms: the first one that a mirror has is taken.
    whole: the uncompressed form, if it is listed.
    """
    missing: list[str] = []
    for entry in forms:
        try:
            packed = _file(opened, entry, mirrors)
        except NotInRepository as error:
            missing.append(str(error))
            continue
        data = _decompressed(entry, packed, whole.size if whole else INDEX_LIMIT)
        if whole and (len(data), hashlib.sha256(data).hexdigest()) != (whole.size, whole.sha256):
            raise PackageError(f"{opened.suite}: {entry.path} holds another file than the Release file lists")
        _keep(opened, whole or entry, data if whole else packed)
        return data, whole or entry
    raise PackageError(missing[0])


def _file(opened: OpenSuite, entry: Entry, mirrors: Mirrors) -> bytes:
    """Returns a listed file from the first mirror that has it as it is listed. PackageError, NotInRepository."""
    paths = [entry.by_hash, entry.path] if opened.release.has_by_hash else [entry.path]
    errors: list[str] = []
    for url in (f"{base}/{path}" for base in opened.bases for path in paths):
        try:
            return _download(url, opened, entry, mirrors)
        except NotInRepository:
            continue
        except (PackageError, ImageError, OSError) as error:
            errors.append(str(error))
    if errors:
        raise PackageError("\n".join(f"{opened.suite}: {error}" for error in dict.fromkeys(errors)))
    place = f"{opened.bases[0]}/{entry.path}"
    raise NotInRepository(f"{opened.suite}: {place} is not there: try again when the mirror is complete")


def _download(url: str, opened: OpenSuite, entry: Entry, mirrors: Mirrors) -> bytes:
    """Returns the file at `url` if it is as listed; PackageError if it is not. Repeated if the connection breaks."""
    return http.retry(lambda: _download_once(url, opened, entry, mirrors), time.sleep, ATTEMPTS)


def _download_once(url: str, opened: OpenSuite, entry: Entry, mirrors: Mirrors) -> bytes:
    data = bytearray()
    with transfer(f"{opened.suite} {entry.path}", entry.size) as progress:
        for chunk in mirrors.chunks(url):
            data += chunk
            progress(len(chunk))
            if len(data) > entry.size:
                raise PackageError(f"{url} has more than the {entry.size} bytes that its Release file lists")
    if len(data) < entry.size:
        raise PackageError(f"{url} ended after {len(data)} of {entry.size} bytes")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise PackageError(f"{url} is not the file that its Release file lists: its SHA-256 differs")
    return bytes(data)


def _decompressed(entry: Entry, data: bytes, limit: int) -> bytes:
    """Returns an index's uncompressed bytes; PackageError for a broken stream and beyond `limit` bytes."""
    result = bytearray()
    chunks = _xz(data) if entry.path.endswith(".xz") else decompress.decoder(io.BytesIO(data))
    try:
        for chunk in chunks:
            result += chunk
            if len(result) > limit:
                raise PackageError(f"{entry.path} unpacks to more than {limit} bytes")
    except (lzma.LZMAError, EOFError, ImageError) as error:
        raise PackageError(f"{entry.path} cannot be unpacked: {error}") from None
    return bytes(result)


def _xz(data: bytes) -> Iterator[bytes]:
    """Yields the uncompressed bytes of xz streams, in chunks."""
    while data:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, DECODER_MEMORY)
        while not decoder.eof:
            chunk = decoder.decompress(data, CHUNK)
            data = b""
            if not chunk and decoder.needs_input and not decoder.eof:
                raise EOFError("it is cut off")
            yield chunk
        data = decoder.unused_data


def _keep(opened: OpenSuite, entry: Entry, data: bytes) -> None:
    """Keeps an index, and deletes those that the Release file lists no more."""
    folder = opened.suite.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / entry.sha256, data)
    except OSError as error:
        raise PackageError(f"{opened.suite}: {folder}: {error.strerror}") from None
    listed = {each.sha256 for each in opened.release.files.values()}
    for path in folder.iterdir():
        if len(path.name) == len(entry.sha256) and path.name not in listed:
            path.unlink(missing_ok=True)
