"""Export: a content becomes a file of the host. It is copied (or blocks are shared, where the file system can), while
another thread hashes it, unless its sum is known. Sums are of what was written: what is copied comes from blobs that
are known to be right while it is copied (see `reading`), and a sum is only known under the names of such bytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.host import atomic
from pipeline.host.stamp import settle_mtime
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice
from pipeline.store import facts, midstate, spare
from pipeline.store.beside import Beside
from pipeline.store.chunks import Chunk, chunks, name_of
from pipeline.store.fault import StoreError
from pipeline.store.growing import Growing
from pipeline.store.reading import is_hole

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 20
"""Contents up to this size are not worth threads."""
SECTOR = 512
"""What lies at multiples of this, here and there, the kernel copies faster; whole blocks it may share."""
SHARED = 1 << 20
"""Bytes from which the kernel is asked to copy."""
PUNCH_HOLE = 0x03
"""FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE of fallocate(2)."""
UNABLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EBADF, errno.EPERM)
"""What the kernel says where it cannot copy from one file to another itself, or cannot reserve room."""


def export(store: Store, content: Content, path: Path) -> Digest:
    """Write `content` to `path`: beside it, then renamed. Returns its sha256. Missing or Damaged if a blob is.

    A large file that was exported before and that nobody wrote to since is left as it is; one that takes its place is
    made of the one before (see `spare`). A killed export leaves `.NAME.partial`, which the next one takes over.
    """
    partial = path.with_name(f".{path.name}.partial")
    with store.lock("export-" + hashlib.sha256(os.fsencode(path.absolute())).hexdigest()):
        try:
            if trees.length(content) <= SMALL:
                return _small(store, content, partial, path)
            return _large(store, content, partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"no space left for {path}") from None
            raise
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def digest(store: Store, content: Content) -> Digest:
    """The sha256 of `content`, which is read only if nobody summed it before."""
    if trees.length(content) <= SMALL:
        return Digest.of(b"".join(store.read(content)))
    name = f"sha256 {name_of(chunks(content))}"
    found = _known(store, content, name)
    if found is None:
        found = Digest.of_chunks(store.read(content))
        facts.know(store, name, found)
    return found


def _small(store: Store, content: Content, partial: Path, path: Path) -> Digest:
    data = b"".join(store.read(content))
    with atomic.recreate(partial) as file:
        file.write(data)
    settle_mtime(partial)
    os.replace(partial, path)
    return Digest.of(data)


def _large(store: Store, content: Content, partial: Path, path: Path) -> Digest:
    parts = chunks(content)
    names, name = [chunk.name for chunk in parts], f"sha256 {name_of(parts)}"
    known = _known(store, content, name)
    if known is not None and names == spare.names(store, path):
        return known
    file, had = spare.take(store, path, partial)
    with file:
        os.truncate(file.fileno(), sum(chunk.size for chunk in parts))
        summed = _copied(store, parts, had, file, known, str(path.absolute()))
        settle_mtime(partial)
        _replace(store, partial, path)  # which need not wait for the sum
        digest = summed()
    if known is None:
        facts.know(store, name, digest)
    spare.note(store, path, names)
    return digest


def _copied(
    store: Store, parts: list[Chunk], had: Sequence[str], file: BinaryIO, known: Digest | None, name: str
) -> Callable[[], Digest]:
    """Write `parts` to `file`. What is returned waits for the sum, if that is not `known`: a thread hashes what was
    written. The end comes first then, as what hashing the beginning would give may be known under `name`."""
    if known is not None:
        for _ in _copy(store, parts, had, file):
            pass
        return lambda: known
    midway = midstate.Sum(store, parts, name)
    growing = Growing(file, midway.place)
    summing = Beside(lambda: midway.digest(growing.read))
    try:
        for place in _copy(store, parts, had, file, midway.done):
            growing.reached(place)
        for _ in _copy(store, parts[: midway.done], had, file):
            pass
    except BaseException:
        growing.fail()
        raise
    return summing.result


def _replace(store: Store, partial: Path, path: Path) -> None:
    """Rename. If the old file is not worth keeping, a thread waits while the system frees it, which takes about as long
    as copying it."""
    if spare.replace(store, partial, path):
        return
    try:
        old = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        old = -1
    try:
        os.replace(partial, path)
    finally:
        if old >= 0:
            threading.Thread(target=os.close, args=(old,), daemon=True).start()


def _known(store: Store, content: Content, name: str) -> Digest | None:
    """The sha256 of `content`, if it is known without reading it."""
    piece = content[0]
    if len(content) == 1 and piece.blob and piece.blob.algorithm == "sha256" and store.size(piece.blob) == piece.length:
        return piece.blob
    fact = facts.known(store, name)
    return None if fact is None else Digest.parse(fact)


def _copy(store: Store, parts: list[Chunk], had: Sequence[str], file: BinaryIO, first: int = 0) -> Iterator[int]:
    """Write `parts` from the one with the number `first` on; where it has come to, again and again.

    had: names of the chunks that `file` has already, from its beginning.
    """
    place = sum(chunk.size for chunk in parts[:first])
    pairs = zip(parts[first:], chain(had[first:], repeat("")), strict=False)
    for same, some in groupby(pairs, lambda pair: pair[0].name == pair[1]):
        each = [chunk for chunk, _ in some]
        if not same:
            yield from _written(store, trees.joined(chunk.pieces for chunk in each), file, place, bool(had))
        place += sum(chunk.size for chunk in each)
        yield place


def _written(store: Store, content: Content, file: BinaryIO, place: int, over: bool) -> Iterator[int]:
    """Write `content` to `file` from `place` on, where there may be other bytes if it goes `over` them."""
    for (hole, shared), run in groupby(_placed(content, place), _manner):
        start, pieces = place, tuple(piece for piece, _ in run)
        place += trees.length(pieces)
        if not hole:
            _reserve(file, start, place - start)
            yield from (_share if shared else _write)(store, pieces, file, start)
        elif over:
            yield from _clear(store, pieces, file, start)


def _placed(content: Content, place: int) -> Iterator[tuple[Slice, int]]:
    for piece in content:
        yield piece, place
        place += piece.length


def _manner(placed: tuple[Slice, int]) -> tuple[bool, bool]:
    """Whether a slice stays a hole, and whether the kernel copies it, or shares blocks. It can copy any other, too, but
    where it must shift bytes within a sector it is slower than a way through memory."""
    piece, place = placed
    shared = piece.blob is not None and piece.length >= SHARED and not piece.offset % SECTOR and not place % SECTOR
    return is_hole(piece), shared


def _reserve(file: BinaryIO, place: int, count: int) -> None:
    """Have room where data will come. Without it ext4 looks for room when the file is renamed over an older one, and
    whoever renames waits for the disk."""
    try:
        os.posix_fallocate(file.fileno(), place, count)
    except OSError as error:
        if error.errno not in UNABLE:
            raise


def _clear(store: Store, holes: Content, file: BinaryIO, place: int) -> Iterator[int]:
    """Make a hole where there may have been something; zeros where the system cannot."""
    import ctypes

    call = getattr(ctypes.CDLL(None), "fallocate64", None)
    if call is None or call(file.fileno(), PUNCH_HOLE, ctypes.c_int64(place), ctypes.c_int64(trees.length(holes))):
        yield from _write(store, holes, file, place)


def _share(store: Store, content: Content, file: BinaryIO, place: int) -> Iterator[int]:
    """Have the kernel copy `content`, as far as it can."""
    for blob, offset, left in content:
        try:
            while left and (count := store.reading.copy(Slice(blob, offset, left), file.fileno(), place)):
                offset, place, left = offset + count, place + count, left - count
                yield place
        except OSError as error:
            if error.errno not in UNABLE:
                raise
        if left:
            yield from _write(store, (Slice(blob, offset, left),), file, place)
        place += left


def _write(store: Store, content: Content, file: BinaryIO, place: int) -> Iterator[int]:
    for data in store.read(content):
        rest = memoryview(data)
        while rest:
            count = os.pwrite(file.fileno(), rest, place)
            place, rest = place + count, rest[count:]
            yield place
