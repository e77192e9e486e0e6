"""Writer and Rope: how bytes get into the store, as one blob, or as a content that takes what exists by reference."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, length
from pipeline.store import meter
from pipeline.store.fault import explained

if TYPE_CHECKING:
    from pipeline.store import Store


class Writer:
    """A blob that is being written. `commit` gives it its name; leaving it uncommitted removes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.scratch()
        with store.space():
            self._file: BinaryIO = open(self._path, "xb")
        self._drop = weakref.finalize(self, _drop, self._file, self._path)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`. StoreError when there is no space."""
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.close()
            raise explained(error, self._store.root) from None
        self.size += len(data)
        meter.advance(len(data))
        return len(data)

    def commit(self) -> Digest:
        """Name the blob by its sha256 and put it into the store."""
        try:
            self._file.close()
        except OSError as error:
            self.close()
            raise explained(error, self._store.root) from None
        digest = Digest("sha256:" + self._hash.hexdigest())
        self._store.adopt(self._path, digest)
        return digest

    def close(self) -> None:
        """Drop what was not committed. Happens by itself when a stage fails and leaves its blob behind."""
        self._drop()


def _drop(file: BinaryIO, path: Path) -> None:
    with contextlib.suppress(OSError):  # what was still to be written is not wanted any more
        file.close()
    path.unlink(missing_ok=True)


_OWN = Digest("")
"""Stands for a rope's own blob until that has a name."""
TOGETHER = 1 << 20
"""Own bytes that are written at once: archives and directories come in many small pieces."""


class Rope:
    """A Sink that builds a Content: own bytes go into one new blob, existing content is taken by reference."""

    def __init__(self, store: Store) -> None:
        self._own = Writer(store)
        self._pieces: list[Slice] = []
        self._size = 0
        self._waiting: list[bytes] = []
        self._held = 0
        """Bytes of those."""

    def write(self, data: bytes) -> None:
        if data:
            count = len(data)
            self.extend((Slice(_OWN, self._own.size + self._held, count),))
            self._waiting.append(data)
            self._held += count
            if self._held >= TOGETHER:
                self._flush()

    def extend(self, content: Content) -> None:
        """Take `content` by reference; if it goes on where the last slice ended, the two become one."""
        if not content:
            return
        self._size += length(content)
        if self._pieces:
            last, (blob, offset, size) = self._pieces[-1], content[0]
            if blob == last.blob and (blob is None or offset == last.offset + last.length):
                self._pieces[-1] = Slice(blob, last.offset, last.length + size)
                content = content[1:]
        self._pieces += content

    def zeros(self, count: int) -> None:
        if count:
            self.extend((Slice(None, 0, count),))

    def tell(self) -> int:
        return self._size

    def finish(self) -> Content:
        """Store the bytes that were written and return the whole as content."""
        self._flush()
        own = self._own.commit() if self._own.size else None
        self._own.close()
        new = tuple.__new__  # a named tuple's own takes twice as long
        return tuple([new(Slice, (own, *piece[1:])) if piece[0] is _OWN else piece for piece in self._pieces])

    def _flush(self) -> None:
        if self._waiting:
            self._own.write(b"".join(self._waiting))
            self._waiting, self._held = [], 0
