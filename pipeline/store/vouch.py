"""Vouch: remembers which file of a blob is known to be right, so that it need not be read whole each time it is opened.

A mark is a file's inode, size, and times of modification and of change. The kernel sets the last whenever a file is
written to, and nobody can set it back. Marks are kept in memory, those of large blobs also as facts. Damage below the
file system changes no mark: `doit fsck` finds it, which reads everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.digest import Digest
from pipeline.store import facts
from pipeline.store.fault import StoreError

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 18
"""Size up to which a blob is sooner hashed, once a process, than looked up, in bytes."""

Mark = tuple[int, int, int, int]
"""Inode, size in bytes, time of modification and time of change, both in nanoseconds."""


def mark(found: os.stat_result) -> Mark:
    """Returns the mark of a file as it stands."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def settle(path: Path) -> None:
    """Gives the file `path` a time of modification that no clock gives it.

    Linux before 6.13 takes time stamps from a clock that ticks every 1 to 10 ms. A file that is written to in the tick
    in which its mark was taken has another mark all the same, then.
    """
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


class Vouched:
    """The marks of a store's blobs. Any number of threads may use it at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._marks: dict[Digest, Mark] = {}

    def note(self, blob: Digest, found: Mark) -> None:
        """Remembers that the file of `blob` is right while it has the mark `found`."""
        self._marks[blob] = found
        if found[1] > SMALL:
            with contextlib.suppress(StoreError):  # a store that only others may write serves all the same
                facts.know(self._store, _fact(blob), _text(found))

    def open(self, blob: Digest) -> tuple[BinaryIO, Mark]:
        """Opens `blob`, whose file is right as it stands, and returns its mark. Missing; Damaged if it is not right.

        The file is read whole unless its mark is known.
        """
        while True:
            file = open(self._store.path(blob), "rb")
            found = mark(os.fstat(file.fileno()))
            if self._known(blob, found):
                return file, found
            right = hashlib.file_digest(file, blob.algorithm).hexdigest() == blob.hex
            if right and mark(os.fstat(file.fileno())) == found:
                self.note(blob, found)
                file.seek(0)
                return file, found
            file.close()
            if not right:
                raise self._store.damaged(blob)

    def clear(self) -> None:
        """Forgets all marks that are in memory."""
        self._marks.clear()

    def _known(self, blob: Digest, found: Mark) -> bool:
        if self._marks.get(blob) == found:
            return True
        if found[1] <= SMALL or facts.known(self._store, _fact(blob)) != _text(found):
            return False
        self._marks[blob] = found
        return True


def _fact(blob: Digest) -> str:
    return f"file {blob}"


def _text(found: Mark) -> str:
    return " ".join(map(str, found))
