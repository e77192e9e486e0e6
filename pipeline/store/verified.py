"""Remembers verified blobs, so that their files need not be read whole each time they are opened.

A verified file is recognised by its stamp (`pipeline.host.stamp`). Stamps are kept in memory, those of large blobs also
in the memo. Damage below the file system changes no stamp; `doit fsck`, which reads everything, finds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO

from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest
from pipeline.store.errors import StoreError

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 18
"""Blobs up to this size, in bytes, are cheaper to hash in each process than to look up in the memo."""


class Verified:
    """The stamps of a store's verified blobs. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stamps: dict[Digest, Stamp] = {}

    def add(self, blob: Digest, current: Stamp) -> None:
        """Records that the file of `blob` is right while its stamp is `current`."""
        self._stamps[blob] = current
        if current[1] > SMALL:
            with contextlib.suppress(StoreError):  # a store that only others may write can still be read
                self._store.memo.put(_name(blob), _text(current))

    def open(self, blob: Digest) -> tuple[BinaryIO, Stamp]:
        """Opens `blob` and returns its stamp. Missing; Damaged if it does not have its digest.

        The file is read whole unless its stamp is known.
        """
        while True:
            file = open(self._store.path(blob), "rb")
            current = stamp(os.fstat(file.fileno()))
            if self._knows(blob, current):
                return file, current
            right = hashlib.file_digest(file, blob.algorithm).hexdigest() == blob.hex
            if right and stamp(os.fstat(file.fileno())) == current:
                self.add(blob, current)
                file.seek(0)
                return file, current
            file.close()
            if not right:
                raise self._store.damaged(blob)

    def clear(self) -> None:
        """Forgets the stamps in memory."""
        self._stamps.clear()

    def _knows(self, blob: Digest, current: Stamp) -> bool:
        if self._stamps.get(blob) == current:
            return True
        if current[1] <= SMALL or self._store.memo.get(_name(blob)) != _text(current):
            return False
        self._stamps[blob] = current
        return True


def _name(blob: Digest) -> str:
    return f"file {blob}"


def _text(current: Stamp) -> str:
    return " ".join(map(str, current))
