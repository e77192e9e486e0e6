"""Writes bytes into the store: as one blob, or as a content that refers to what is there already."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, length
from pipeline.store import progress_counter
from pipeline.store.errors import explained

if TYPE_CHECKING:
    from pipeline.store import Store


class BlobWriter:
    """A blob that is being written. `commit` names it; without that it is removed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.scratch()
        with store.space():
            self._file: BinaryIO = open(self._path, "xb")
        self._drop = weakref.finalize(self, _drop, self._file, self._path)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Appends `data`. StoreError when there is no space."""
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.close()
            raise explained(error, self._store.root) from None
        self.size += len(data)
        progress_counter.advance(len(data))
        return len(data)

    def commit(self) -> Digest:
        """Puts the blob into the store under its SHA-256, which is returned."""
        try:
            self._file.close()
        except OSError as error:
            self.close()
            raise explained(error, self._store.root) from None
        digest = Digest("sha256:" + self._hash.hexdigest())
        self._store.adopt(self._path, digest)
        return digest

    def close(self) -> None:
        """Removes the file if it was not committed. The garbage collector calls this, too, after a stage failed."""
        self._drop()


def _drop(file: BinaryIO, path: Path) -> None:
    with contextlib.suppress(OSError):  # buffered bytes that cannot be written are not needed
        file.close()
    path.unlink(missing_ok=True)


_OWN = Digest("")
"""Placeholder of a rope's own blob until that has a digest."""
TOGETHER = 1 << 20
"""Own bytes that are written at once: archives and directories consist of many small pieces."""


class Rope:
    """A Sink that builds a Content: own bytes go into one new blob, existing content is referred to."""

    def __init__(self, store: Store) -> None:
        self._own = BlobWriter(store)
        self._pieces: list[Slice] = []
        self._size = 0
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    def write(self, data: bytes) -> None:
        if data:
            count = len(data)
            self.extend((Slice(_OWN, self._own.size + self._waiting_size, count),))
            self._waiting.append(data)
            self._waiting_size += count
            if self._waiting_size >= TOGETHER:
                self._flush()

    def extend(self, content: Content) -> None:
        """Appends `content` by reference. A slice that continues the last one is merged into it."""
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
        """Stores the bytes that were written, and returns the whole content."""
        self._flush()
        own = self._own.commit() if self._own.size else None
        self._own.close()
        new = tuple.__new__  # a named tuple's own takes twice as long
        return tuple([new(Slice, (own, *piece[1:])) if piece[0] is _OWN else piece for piece in self._pieces])

    def _flush(self) -> None:
        if self._waiting:
            self._own.write(b"".join(self._waiting))
            self._waiting, self._waiting_size = [], 0
