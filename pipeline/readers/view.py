"""Views: bytes at offsets of a file, of a part of another view, of concatenated parts, or of a stream."""

from __future__ import annotations

import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError

CHUNK = 1 << 20
"""Bytes that are read at a time."""
IN_MEMORY = 8 << 20
"""A decompressed stream of more than this goes to a temporary file."""
INFLATED_LIMIT = 64 << 30
"""Maximum size of a decompressed stream, in bytes: a larger one is treated as a decompression bomb."""


class DecompressionError(NodekilnError, ValueError):
    """Compressed content that cannot be decompressed: the structure around it is intact, or looks so."""


class View(Protocol):
    """Bytes that can be read anywhere. Views of equal `identity` (not None) hold the same bytes."""

    @property
    def size(self) -> int: ...
    @property
    def identity(self) -> object: ...
    def __hash__(self) -> int: ...
    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on; fewer only where the view ends."""
        ...


class BytesView:
    """The bytes `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.identity: object = None

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


class HostFile:
    """The file at `path`, which is opened when it is first read."""

    def __init__(self, path: Path, identity: object = None) -> None:
        self.path = path
        self.identity = identity

    @cached_property
    def _file(self) -> io.FileIO:
        return io.FileIO(self.path)

    @cached_property
    def size(self) -> int:
        return os.stat(self.path).st_size

    def read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._file.fileno(), count, offset)
        while len(data) < count and (more := os.pread(self._file.fileno(), count - len(data), offset + len(data))):
            data += more
        return data


class ViewSlice(NamedTuple):
    """A run of a ConcatView: `length` bytes of `view` from `offset` on; `view` None is zeros."""

    view: View | None
    offset: int
    length: int


class ConcatView:
    """Slices of views, concatenated."""

    def __init__(self, extents: Iterable[ViewSlice]) -> None:
        self._extents = [extent for extent in extents if extent.length]
        self._starts = [0]
        for extent in self._extents:
            self._starts.append(self._starts[-1] + extent.length)
        self.size = self._starts[-1]

    @cached_property
    def identity(self) -> object:
        parts = [(each.view and each.view.identity, each.offset, each.length) for each in self._extents]
        named = all(each.view is None or each.view.identity is not None for each in self._extents)
        return tuple(parts) if named else None

    def read(self, offset: int, count: int) -> bytes:
        pieces = []
        count = max(0, min(count, self.size - offset))
        index = bisect_right(self._starts, offset) - 1
        while count:
            extent, inside = self._extents[index], offset - self._starts[index]
            taken = min(count, extent.length - inside)
            data = bytes(taken) if extent.view is None else extent.view.read(extent.offset + inside, taken)
            pieces.append(data)
            if len(data) < taken:  # what the extent refers to ends early: so does this view
                break
            offset, count, index = offset + taken, count - taken, index + 1
        return b"".join(pieces)


def subview(view: View, offset: int, size: int) -> View:
    """The `size` bytes of `view` from `offset` on, or as many as there are."""
    return ConcatView([ViewSlice(view, offset, max(0, min(size, view.size - offset)))])


RECENT = 64
"""Decompressed blocks that stay in memory: up to 64 MiB of the largest that squashfs has."""


class CompressedBlock:
    """`size` bytes that `unpack()` returns, padded with zeros. Blocks that were read recently stay in memory."""

    def __init__(self, unpack: Callable[[], bytes], size: int) -> None:
        self.unpack = unpack
        self.size = size
        self.identity: object = None

    def read(self, offset: int, count: int) -> bytes:
        return _decompressed(self)[offset : offset + count]


@lru_cache(RECENT)
def _decompressed(packed: CompressedBlock) -> bytes:
    try:
        return packed.unpack()[: packed.size].ljust(packed.size, b"\0")
    except Exception as error:  # each library has an error of its own
        raise DecompressionError(f"damaged content: {error}") from None


class DecompressedView:
    """A stream that `pieces()` yields, decompressed at the first read and kept."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]], identity: object = None) -> None:
        self._pieces = pieces
        self.identity = identity

    @cached_property
    def _file(self) -> tempfile.SpooledTemporaryFile[bytes]:
        file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)
        try:
            for piece in self._pieces():
                file.write(piece)
                if file.tell() > INFLATED_LIMIT:
                    raise DecompressionError(f"a stream of more than {INFLATED_LIMIT} bytes")
        except ValueError as error:
            raise DecompressionError(str(error)) from None
        return file

    @cached_property
    def size(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def read(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)


class ViewFile(io.RawIOBase):
    """A view as a file object, for parsers that need one."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._view.size}[whence]
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._view.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def chunks(view: View, start: int = 0) -> Iterator[bytes]:
    """The bytes of `view` from `start` on, piece by piece."""
    while data := view.read(start, CHUNK):
        yield data
        start += len(data)


def sha256(view: View) -> str:
    """The hexadecimal sha256 of the whole view."""
    return Digest.of_chunks(chunks(view)).hex


def first_unequal(left: View, right: View) -> int | None:
    """The first offset where the views differ: the shorter one's end, if one starts with the other; None if nowhere."""
    if left is right or (left.identity is not None and left.identity == right.identity):
        return None
    offset = 0
    while True:
        here, there = left.read(offset, CHUNK), right.read(offset, CHUNK)
        if here != there:
            return offset + _first_unequal(here, there)
        if not here:
            return None
        offset += len(here)


def _first_unequal(left: bytes, right: bytes) -> int:
    low, high = 0, min(len(left), len(right))
    while low < high:  # the longest equal prefix, by halving
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
