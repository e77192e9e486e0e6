"""Reading: the bytes of contents, from blobs that each thread keeps open.

A blob's file is known to be right when it is opened, and its mark is looked at again behind every read: the kernel
notes that a file is written to before the first byte changes, so what was read is right if the mark is as it was.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice
from pipeline.store import meter
from pipeline.store.fault import Damaged, Missing

if TYPE_CHECKING:
    from pipeline.store import Store

CHUNK = 1 << 20
"""Bytes that are read at a time, at most."""
BLOBS_OPEN = 16
"""Blobs that a thread keeps open: the files of a merged tree come from one layer, then another, and back."""
TOGETHER = 256 << 10
"""Slices below this size come together: each by itself would be mostly calls."""
SMALL = 64 << 10
"""Those below this size are taken from a window into their blob, too."""
WINDOW = (16 << 10, 64 << 10)
"""Bytes of a window: at first, and at most, where each was soon followed by the next."""
ZEROS = bytes(TOGETHER)


def zeros(length: int) -> Iterator[bytes]:
    """So many zeros, in chunks of at most CHUNK."""
    some = bytes(min(length, CHUNK))
    for left in range(length, 0, -CHUNK):
        yield some if left >= CHUNK else some[:left]


def is_hole(piece: Slice) -> bool:
    """Whether `piece` is zeros, and worth leaving out of a file of the host."""
    return piece.blob is None and piece.length >= SMALL


class Open:
    """A blob that a thread has open, right while it has the mark `mark`; a window into it: `data` from `start` on."""

    __slots__ = ("data", "file", "mark", "start", "step")

    def __init__(self, file: BinaryIO, mark: Stamp) -> None:
        self.file, self.mark, self.start, self.data, self.step = file, mark, 0, b"", WINDOW[0]

    @property
    def changed(self) -> bool:
        """Whether the file may have been written to since it was opened."""
        return stamp(os.fstat(self.file.fileno())) != self.mark


class Reading:
    """Reads blobs of `store`; any number of threads may at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = threading.local()

    def read(self, content: Content) -> Iterator[bytes]:
        """The bytes of `content` in chunks of at most CHUNK. Missing, or Damaged if a blob ends early."""
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
        """Has the kernel copy some of `piece` to `place` in the open file `file`; returns how many bytes.

        OSError where the kernel cannot; 0 bytes where the blob ends.
        """
        assert piece.blob is not None
        while True:
            found = self._blob(piece.blob)
            count = os.copy_file_range(found.file.fileno(), file, piece.length, piece.offset, place)
            if not found.changed:
                return count
            self._anew(piece.blob)

    def close(self) -> None:
        """Let every thread open its blobs anew: one of them is not what it was."""
        self._open = threading.local()

    def _blob(self, blob: Digest) -> Open:
        blobs: dict[Any, Open] = self._open.__dict__  # of this thread
        found = blobs.get(blob)
        if found is None:
            while len(blobs) >= BLOBS_OPEN:
                del blobs[next(iter(blobs))]
            try:
                found = blobs[blob] = Open(*self._store.vouched.open(blob))
            except FileNotFoundError:
                raise Missing(blob) from None
        return found

    def _anew(self, blob: Digest) -> None:
        """Have this thread open `blob` anew: it may have been written to."""
        self._open.__dict__.pop(blob, None)

    def _large(self, blob: Digest, offset: int, length: int) -> Iterator[bytes]:
        while length:
            data = self._read(blob, min(length, CHUNK), offset)
            meter.advance(len(data))
            yield data
            offset += len(data)
            length -= len(data)

    def _small(self, blob: Digest, offset: int, length: int) -> bytes:
        if length >= SMALL:
            return self._whole(blob, offset, length, length)
        found = self._blob(blob)
        at = offset - found.start
        if not 0 <= at <= len(found.data) - length:
            follows = 0 <= at <= len(found.data) + found.step
            step = min(2 * found.step, WINDOW[1]) if follows else WINDOW[0]
            data = self._whole(blob, offset, length, step)
            found, at = self._blob(blob), 0
            found.start, found.data, found.step = offset, data, step
        return found.data[at : at + length]

    def _whole(self, blob: Digest, offset: int, length: int, most: int) -> bytes:
        """At least `length` bytes of `blob` from `offset` on, and `most` if they come at once."""
        data = self._read(blob, max(length, most), offset)
        while len(data) < length:
            data += self._read(blob, length - len(data), offset + len(data))
        return data

    def _read(self, blob: Digest, count: int, offset: int) -> bytes:
        """At least one byte of `blob` from `offset` on, and at most `count`."""
        while True:
            found = self._blob(blob)
            data = os.pread(found.file.fileno(), count, offset)
            if found.changed:
                self._anew(blob)
            elif data:
                return data
            else:  # the slice is wrong, not the blob: who made both makes both again
                self._store.path(blob).unlink(missing_ok=True)
                raise Damaged(blob)


def _together(pieces: list[bytes], size: int) -> bytes:
    meter.advance(size)
    return b"".join(pieces)
