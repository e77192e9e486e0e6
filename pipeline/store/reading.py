"""Reading: the bytes of contents, from blobs that each thread keeps open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.digest import Digest
from pipeline.store import meter
from pipeline.tree import Content

if TYPE_CHECKING:
    from pipeline.store import Store

CHUNK = 1 << 20
"""Bytes that are read at a time."""
BLOBS_OPEN = 16
"""Blobs that a thread keeps open: the files of a merged tree come from one layer, then another, and back."""


class Reading:
    """Reads blobs of `store`; any number of threads may at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = threading.local()

    def read(self, content: Content) -> Iterator[bytes]:
        """The bytes of `content` in chunks of at most CHUNK. Missing, or Damaged if a blob ends early."""
        for blob, offset, length in content:
            if blob is None:
                while length > 0:
                    yield b"\0" * min(length, CHUNK)
                    length -= CHUNK
            elif length:
                file = self.file(blob)
                while length:
                    data = os.pread(file.fileno(), min(length, CHUNK), offset)
                    if not data:
                        file = self.file(blob, file, offset)
                        continue
                    meter.advance(len(data))
                    yield data
                    offset += len(data)
                    length -= len(data)

    def file(self, blob: Digest, short: BinaryIO | None = None, offset: int = 0) -> BinaryIO:
        """`blob`, opened once a thread: only for `os.pread` and the like, and not to be closed.

        Opened anew if `short` is the file that ended at `offset`; Damaged if the blob does end there.
        """
        files: dict[Any, BinaryIO] = self._open.__dict__  # of this thread
        file = files.get(blob) if short is None else None
        if file is None:
            if short is not None and self._store.size(blob) <= offset:
                raise self._store.damaged(blob)
            while len(files) >= BLOBS_OPEN:
                del files[next(iter(files))]
            file = files[blob] = self._store.open(blob)
        return file

    def close(self) -> None:
        """Let every thread open its blobs anew: one of them is not what it was."""
        self._open = threading.local()
