"""A folder that many machines mount (NFS, CVMFS, Lustre); it may be read-only.

    ac/ab/<key>    a statement, ab the first two digits of its key
    cas/ab/<hex>   a blob by its SHA-256

A file is written under another name in its folder and renamed, so that a reader sees a whole one or none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from pipeline.host import atomic
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.shared.transfer import PIECE, STATEMENT_LIMIT, failure, limited, side_by_side

SCHEME = "file"


def connect(url: str, timeout: float) -> Folder:
    """Returns the folder at `url`, an absolute path or file:///path. BadInput."""
    parts = urlsplit(url)
    path = unquote(parts.path) if parts.scheme == SCHEME else url
    if not path.startswith("/") or parts.scheme not in ("", SCHEME) or "\0" in path or parts.netloc:
        raise BadInput(f"{ascii(url)[1:-1]}: not the folder of a shared cache: write an absolute path")
    return Folder(Path(path), timeout)


class Folder:
    """The cache in the folder `root`, which its first use looks for within `timeout` seconds."""

    complete = False

    def __init__(self, root: Path, timeout: float) -> None:
        self.address = ascii(str(root))[1:-1]
        self._root = root
        self._timeout = timeout
        self._checked = False
        self._guard = threading.Lock()

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        self._check()
        found = side_by_side(lambda key: (key, self._statement(key)), keys)
        return {key: statement for key, statement in found if statement is not None}

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        self._check()
        sizes = side_by_side(lambda blob: (blob, self._size(self._blob(blob))), blobs)
        return {blob for blob, size in sizes if size != blobs[blob]}

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        self._check()
        with self._errors():
            file = _open(self._blob(blob))
        if file is None:
            raise KeyError(blob)
        with file, self._errors():
            yield from limited(iter(lambda: file.read(PIECE), b""), size, self._timeout, self.address)

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        self._check()
        place = self._blob(blob)
        if self._size(place) != size:
            self._write(place, iter(lambda: source.read(PIECE), b""))

    def state(self, key: str, result: bytes) -> None:
        self._check()
        self._write(self._root / "ac" / key[:2] / key, [result])

    def close(self) -> None:
        """Does nothing: each file is closed after its use."""

    def _blob(self, blob: Digest) -> Path:
        return self._root / "cas" / blob.hex[:2] / blob.hex

    def _statement(self, key: str) -> bytes | None:
        with self._errors():
            file = _open(self._root / "ac" / key[:2] / key)
            if file is None:
                return None
            with file:
                data = file.read(STATEMENT_LIMIT + 1)
        return data if len(data) <= STATEMENT_LIMIT else None

    def _size(self, place: Path) -> int | None:
        """Returns the size of a file in bytes; None if there is none. WireError."""
        with self._errors():
            try:
                status = os.lstat(place)
            except FileNotFoundError:
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _write(self, place: Path, pieces: Iterable[bytes]) -> None:
        partial = place.with_name(f".{place.name}.{os.urandom(6).hex()}{atomic.SUFFIX}")
        with self._errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                with atomic.create(partial) as file:
                    for piece in pieces:
                        file.write(piece)
                os.replace(partial, place)
            except BaseException:
                with contextlib.suppress(OSError):
                    partial.unlink()
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Gives an OSError the form of a WireError."""
        try:
            yield
        except OSError as error:
            place = Path(error.filename).name if isinstance(error.filename, str) else ""
            raise failure(self.address, f"{place}: {error.strerror}" if place else error.strerror or error) from None

    def _check(self) -> None:
        """Looks for the folder, once. WireError if others may write into it, or if its server does not answer.

        A file system without its server blocks its callers for ever; so a thread of its own looks.
        """
        with self._guard:
            if self._checked:
                return
            answer: list[os.stat_result | OSError] = []
            thread = threading.Thread(target=_look, args=(self._root, answer), name="shared", daemon=True)
            thread.start()
            thread.join(self._timeout)
            if not answer:
                raise failure(self.address, f"no answer in {self._timeout:g} seconds")
            status = answer[0]
            if isinstance(status, OSError):
                raise failure(self.address, status.strerror or status)
            if not stat.S_ISDIR(status.st_mode):
                raise failure(self.address, "not a folder")
            if status.st_mode & stat.S_IWOTH:
                raise failure(self.address, f"any user may write into it: chmod o-w {self.address}")
            self._checked = True


def _look(path: Path, answer: list[os.stat_result | OSError]) -> None:
    try:
        answer.append(os.stat(path))
    except OSError as error:
        answer.append(error)


def _open(path: Path) -> BinaryIO | None:
    """Opens a regular file for reading, unbuffered; None if there is none, or something else in its place. OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")
