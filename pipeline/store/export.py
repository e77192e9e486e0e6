"""Export: a content becomes a file of the host. The kernel copies (or shares blocks, where the file system can), while
other threads hash: one the whole file, unless its sum is known, and one the blobs that go into it whole, unless they
are vouched for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline import tree as trees
from pipeline.digest import Digest, canonical_json
from pipeline.store import facts, midstate, vouch
from pipeline.store.beside import Beside
from pipeline.store.fault import StoreError
from pipeline.tree import Content

if TYPE_CHECKING:
    from pipeline.store import Store

BUFFER = 1 << 20
"""Bytes that are hashed, or copied by hand, at a time."""
SMALL = 1 << 20
"""Contents up to this size are not worth threads."""
BY_HAND = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EBADF, errno.EPERM)
"""What the kernel says where it cannot copy from one file to another itself, or cannot reserve room."""


def export(store: Store, content: Content, path: Path) -> Digest:
    """Write `content` to `path`: beside it, then renamed. Returns its sha256. Missing or Damaged if a blob is.

    A large file that was exported before and that nobody wrote to since is left as it is. A killed export leaves
    `.NAME.partial`, which the next one of the same file takes over.
    """
    partial = path.with_name(f".{path.name}.partial")
    with store.lock("export-" + hashlib.sha256(os.fsencode(path.absolute())).hexdigest()):
        if (known := _there(store, content, path)) is not None:
            return known
        try:
            if trees.length(content) <= SMALL:
                return _small(store, content, partial, path)
            digest = _large(store, content, partial, path)
            facts.know(store, f"export {path.absolute()}", _mark(content, path))
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"no space left for {path}") from None
            raise
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    return digest


def digest(store: Store, content: Content) -> Digest:
    """The sha256 of `content`, which is read only if nobody summed it before."""
    if trees.length(content) <= SMALL:
        return Digest.of(b"".join(store.read(content)))
    found = _known(store, content)
    if found is None:
        found = _hash(store, content)
        facts.know(store, _name(content), found)
    return found


def _small(store: Store, content: Content, partial: Path, path: Path) -> Digest:
    data = b"".join(store.read(content))
    partial.write_bytes(data)
    os.replace(partial, path)
    return Digest.of(data)


def _large(store: Store, content: Content, partial: Path, path: Path) -> Digest:
    """The file gets its name once the blobs are known to be right; that need not wait for its own sum."""
    known = _known(store, content)
    checking = Beside(lambda: _verify(store, content))
    summing = None if known else Beside(lambda: midstate.digest(store, content, str(path.absolute())))
    with open(partial, "wb", buffering=0) as out:
        _copy(store, content, out)
    checking.result()
    _replace(partial, path)
    if summing is not None:
        known = summing.result()
        facts.know(store, _name(content), known)
    assert known is not None
    return known


def _replace(partial: Path, path: Path) -> None:
    """Rename, and let a thread wait while the system frees the old file: that takes about as long as copying it."""
    try:
        old = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        old = -1
    try:
        os.replace(partial, path)
    finally:
        if old >= 0:
            threading.Thread(target=os.close, args=(old,), daemon=True).start()


def _there(store: Store, content: Content, path: Path) -> Digest | None:
    """The digest of `content`, if it is large and the file `path` is what an export of it left."""
    if trees.length(content) <= SMALL:
        return None
    try:
        if facts.known(store, f"export {path.absolute()}") != _mark(content, path):
            return None
    except OSError:
        return None
    return _known(store, content)


def _mark(content: Content, path: Path) -> str:
    """Says which content a file got, and which state of the file that is: see `vouch`."""
    found = os.stat(path)
    return f"{_name(content)} {found.st_ino} {found.st_size} {found.st_ctime_ns}"


def _known(store: Store, content: Content) -> Digest | None:
    """The sha256 of `content`, if it is known without reading it."""
    piece = content[0]
    if len(content) == 1 and piece.blob and piece.blob.algorithm == "sha256" and store.size(piece.blob) == piece.length:
        return piece.blob
    fact = facts.known(store, _name(content))
    return None if fact is None else Digest.parse(fact)


def _name(content: Content) -> str:
    """How the store calls the sum of `content`."""
    return f"sha256 {hashlib.sha256(canonical_json(content)).hexdigest()}"


def _verify(store: Store, content: Content) -> None:
    """Damaged if a blob that goes into `content` whole is not right."""
    for blob in {blob for blob, offset, length in content if blob and not offset and store.size(blob) == length}:
        vouch.verify(store, blob)


def _hash(store: Store, content: Content) -> Digest:
    digest = hashlib.sha256()
    for data in store.read(content):
        digest.update(data)
    return Digest("sha256:" + digest.hexdigest())


def _copy(store: Store, content: Content, out: BinaryIO) -> None:
    os.truncate(out.fileno(), trees.length(content))
    _reserve(content, out)
    place = 0
    for blob, offset, length in content:
        if blob is None or not length:
            place += length
            continue
        file, end = store.reading.file(blob), place + length
        while (place := _copy_range(file.fileno(), out.fileno(), offset, place, end)) < end:
            offset += length - (end - place)
            length = end - place
            file = store.reading.file(blob, file, offset)


def _reserve(content: Content, out: BinaryIO) -> None:
    """Have room where data will come, holes left out. Without it ext4 looks for room when the file is renamed over an
    older one, and whoever renames waits for the disk."""
    place = 0
    for hole, pieces in groupby(content, lambda piece: piece.blob is None):
        count = sum(piece.length for piece in pieces)
        if not hole and count:
            try:
                os.posix_fallocate(out.fileno(), place, count)
            except OSError as error:
                if error.errno not in BY_HAND:
                    raise
                return  # a file system that cannot
        place += count


def _copy_range(source: int, target: int, start: int, place: int, end: int) -> int:
    """Copy from `start` of `source` to `place` of `target`, up to `end` there; returns how far it came."""
    by_hand = False
    while place < end:
        try:
            if by_hand:
                count = os.pwrite(target, os.pread(source, min(end - place, BUFFER), start), place)
            else:
                count = os.copy_file_range(source, target, end - place, start, place)
        except OSError as error:
            if by_hand or error.errno not in BY_HAND:
                raise
            by_hand = True
            continue
        if not count:
            break
        start += count
        place += count
    return place
