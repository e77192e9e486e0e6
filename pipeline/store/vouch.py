"""Vouch: remembers which file of a blob is known to be right, so that it need not be read whole each time it is opened.

A right file is known by its mark (`pipeline.host.stamp`). Marks are kept in memory, those of large blobs also as facts.
Damage below the file system changes no mark: `doit fsck` finds it, which reads everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO

from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest
from pipeline.store import facts
from pipeline.store.fault import StoreError

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 18
"""Size up to which a blob is sooner hashed, once a process, than looked up, in bytes."""


class Vouched:
    """The marks of a store's blobs. Any number of threads may use it at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._marks: dict[Digest, Stamp] = {}

    def note(self, blob: Digest, found: Stamp) -> None:
        """Remembers that the file of `blob` is right while it has the mark `found`."""
        self._marks[blob] = found
        if found[1] > SMALL:
            with contextlib.suppress(StoreError):  # a store that only others may write serves all the same
                facts.know(self._store, _fact(blob), _text(found))

    def open(self, blob: Digest) -> tuple[BinaryIO, Stamp]:
        """Opens `blob`, whose file is right as it stands, and returns its mark. Missing; Damaged if it is not right.

        The file is read whole unless its mark is known.
        """
        while True:
            file = open(self._store.path(blob), "rb")
            found = stamp(os.fstat(file.fileno()))
            if self._known(blob, found):
                return file, found
            right = hashlib.file_digest(file, blob.algorithm).hexdigest() == blob.hex
            if right and stamp(os.fstat(file.fileno())) == found:
                self.note(blob, found)
                file.seek(0)
                return file, found
            file.close()
            if not right:
                raise self._store.damaged(blob)

    def clear(self) -> None:
        """Forgets all marks that are in memory."""
        self._marks.clear()

    def _known(self, blob: Digest, found: Stamp) -> bool:
        if self._marks.get(blob) == found:
            return True
        if found[1] <= SMALL or facts.known(self._store, _fact(blob)) != _text(found):
            return False
        self._marks[blob] = found
        return True


def _fact(blob: Digest) -> str:
    return f"file {blob}"


def _text(found: Stamp) -> str:
    return " ".join(map(str, found))
