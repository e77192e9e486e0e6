"""Reads contents from blobs that each thread keeps open.

A blob is verified when it is opened, and its stamp is compared again after every read: the kernel changes the stamp of
a file before the first byte changes, so what was read is right if the stamp is the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice
from pipeline.store import progress_counter
from pipeline.store.errors import Damaged

if TYPE_CHECKING:
    from pipeline.store import Store

CHUNK = 1 << 20
"""Maximum bytes that are read at a time."""
BLOBS_OPEN = 16
"""Blobs that a thread keeps open: the files of a merged tree alternate between layers."""
TOGETHER = 256 << 10
"""Slices below this size, in bytes, are yielded together: single ones would be mostly calls."""
SMALL = 64 << 10
"""Slices below this size, in bytes, are taken from a window into their blob."""
WINDOW = (16 << 10, 64 << 10)
"""Size of a window, in bytes: at first, and the maximum, which it reaches if slices follow each other."""
ZEROS = bytes(TOGETHER)


def zeros(length: int) -> Iterator[bytes]:
    """Yields `length` zeros, at most CHUNK at a time."""
    some = bytes(min(length, CHUNK))
    for left in range(length, 0, -CHUNK):
        yield some if left >= CHUNK else some[:left]


def is_hole(piece: Slice) -> bool:
    """Returns whether `piece` is zeros, and large enough to be a hole in a file of the host."""
    return piece.blob is None and piece.length >= SMALL


class Open:
    """A blob that a thread has open, right while it has `stamp`, and a window into it: `data` from `start` on."""

    __slots__ = ("data", "file", "stamp", "start", "step")

    def __init__(self, file: BinaryIO, current: Stamp) -> None:
        self.file, self.stamp, self.start, self.data, self.step = file, current, 0, b"", WINDOW[0]

    @property
    def changed(self) -> bool:
        """True if the file may have been written to since it was opened."""
        return stamp(os.fstat(self.file.fileno())) != self.stamp


class Reading:
    """Reads blobs of `store`. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = threading.local()

    def read(self, content: Content) -> Iterator[bytes]:
        """Yields the bytes of `content`, at most CHUNK at a time. Missing, or Damaged if a blob ends early."""
        small: list[bytes] = []
        size = 0
        for blob, offset, length in content:
            if size and size + length > CHUNK:
                yield _together(small, size)
                small, size = [], 0
            if not length:
                continue
            if length < TOGETHER:
                small.append(ZEROS[:length] if blob is None else self._small(blob, offset, length))
                size += length
                continue
            if size:
                yield _together(small, size)
                small, size = [], 0
            yield from zeros(length) if blob is None else self._large(blob, offset, length)
        if size:
            yield _together(small, size)

    def copy(self, piece: Slice, file: int, place: int) -> int:
        """Has the kernel copy the beginning of `piece` to `place` in the open file `file`; returns how many bytes.

        OSError where the kernel cannot; 0 bytes where the blob ends.
        """
        assert piece.blob is not None
        while True:
            opened = self._blob(piece.blob)
            count = os.copy_file_range(opened.file.fileno(), file, piece.length, piece.offset, place)
            if not opened.changed:
                return count
            self._reopen(piece.blob)

    def close(self) -> None:
        """Has every thread open its blobs again, after one of them proved damaged."""
        self._open = threading.local()

    def _blob(self, blob: Digest) -> Open:
        blobs: dict[Any, Open] = self._open.__dict__  # of this thread
        opened = blobs.get(blob)
        if opened is None:
            while len(blobs) >= BLOBS_OPEN:
                del blobs[next(iter(blobs))]
            opened = blobs[blob] = Open(*self._store.open_verified(blob))
        return opened

    def _reopen(self, blob: Digest) -> None:
        """Has this thread open `blob` again, which may have been written to."""
        self._open.__dict__.pop(blob, None)

    def _large(self, blob: Digest, offset: int, length: int) -> Iterator[bytes]:
        while length:
            data = self._read(blob, min(length, CHUNK), offset)
            progress_counter.advance(len(data))
            yield data
            offset += len(data)
            length -= len(data)

    def _small(self, blob: Digest, offset: int, length: int) -> bytes:
        if length >= SMALL:
            return self._whole(blob, offset, length, length)
        opened = self._blob(blob)
        at = offset - opened.start
        if not 0 <= at <= len(opened.data) - length:
            follows = 0 <= at <= len(opened.data) + opened.step
            step = min(2 * opened.step, WINDOW[1]) if follows else WINDOW[0]
            data = self._whole(blob, offset, length, step)
            opened, at = self._blob(blob), 0
            opened.start, opened.data, opened.step = offset, data, step
        return opened.data[at : at + length]

    def _whole(self, blob: Digest, offset: int, length: int, most: int) -> bytes:
        """Returns at least `length` bytes of `blob` from `offset` on, and up to `most` if one read gives them."""
        data = self._read(blob, max(length, most), offset)
        while len(data) < length:
            data += self._read(blob, length - len(data), offset + len(data))
        return data

    def _read(self, blob: Digest, count: int, offset: int) -> bytes:
        """Returns one to `count` bytes of `blob` from `offset` on."""
        while True:
            opened = self._blob(blob)
            data = os.pread(opened.file.fileno(), count, offset)
            if opened.changed:
                self._reopen(blob)
            elif data:
                return data
            else:  # the slice is wrong, not the blob: the stage that made both makes both again
                self._store.path(blob).unlink(missing_ok=True)
                raise Damaged(blob)


def _together(pieces: list[bytes], size: int) -> bytes:
    progress_counter.advance(size)
    return b"".join(pieces)
