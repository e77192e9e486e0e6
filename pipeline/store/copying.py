"""Writes content into an open file of the host: holes stay holes, and the kernel copies what it can."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, BinaryIO

from pipeline.model import tree as trees
from pipeline.model.tree import Content, Slice
from pipeline.store.reading import is_hole

if TYPE_CHECKING:
    from pipeline.store import Store

SECTOR = 512
"""Alignment, in bytes, at which the kernel copies faster than a way through memory; whole blocks it may share."""
SHARED = 1 << 20
"""Smallest slice that the kernel is asked to copy, in bytes."""
PUNCH_HOLE = 0x03
"""FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE of fallocate(2)."""
UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EBADF, errno.EPERM)
"""Errors of a kernel that cannot copy between two files itself, or cannot reserve space."""


def copy(store: Store, content: Content, file: BinaryIO, offset: int = 0, dirty: bool = False) -> Iterator[int]:
    """Writes `content` to `file` at `offset`, and yields the offset of the end of what is written, again and again.

    dirty: whether the file may have other bytes where `content` has holes.
    """
    for (hole, shared), run in groupby(_placed(content, offset), _method):
        start, slices = offset, tuple(piece for piece, _ in run)
        offset += trees.length(slices)
        if not hole:
            _reserve(file, start, offset - start)
            yield from (_share if shared else _write)(store, slices, file, start)
        elif dirty:
            yield from _punch(store, slices, file, start)


def _placed(content: Content, offset: int) -> Iterator[tuple[Slice, int]]:
    for piece in content:
        yield piece, offset
        offset += piece.length


def _method(placed: tuple[Slice, int]) -> tuple[bool, bool]:
    """Returns whether a slice stays a hole, and whether the kernel copies it or shares its blocks."""
    piece, offset = placed
    shared = piece.blob is not None and piece.length >= SHARED and not piece.offset % SECTOR and not offset % SECTOR
    return is_hole(piece), shared


def _reserve(file: BinaryIO, offset: int, count: int) -> None:
    """Reserves space, which ext4 would allocate, waiting for the disk, at the rename (ext4(5), auto_da_alloc)."""
    try:
        os.posix_fallocate(file.fileno(), offset, count)
    except OSError as error:
        if error.errno not in UNABLE:
            raise


def _punch(store: Store, holes: Content, file: BinaryIO, offset: int) -> Iterator[int]:
    """Makes a hole; writes zeros where the file system cannot."""
    import ctypes

    call = getattr(ctypes.CDLL(None), "fallocate64", None)
    if call is None or call(file.fileno(), PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(trees.length(holes))):
        yield from _write(store, holes, file, offset)


def _share(store: Store, content: Content, file: BinaryIO, offset: int) -> Iterator[int]:
    """Has the kernel copy `content`, as far as it can; the rest is written."""
    for blob, start, left in content:
        try:
            while left and (count := store.reading.copy(Slice(blob, start, left), file.fileno(), offset)):
                start, offset, left = start + count, offset + count, left - count
                yield offset
        except OSError as error:
            if error.errno not in UNABLE:
                raise
        if left:
            yield from _write(store, (Slice(blob, start, left),), file, offset)
        offset += left


def _write(store: Store, content: Content, file: BinaryIO, offset: int) -> Iterator[int]:
    for data in store.read(content):
        rest = memoryview(data)
        while rest:
            count = os.pwrite(file.fileno(), rest, offset)
            offset, rest = offset + count, rest[count:]
            yield offset
