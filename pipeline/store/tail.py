"""Lets one thread read a file behind another that writes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

CHUNK = 256 << 10
"""Bytes that are read at a time: few enough to be still in the processor's cache when they are used."""


class Tail:
    """The end of what has been written of a file. An error that leaves the writer's `with` block fails the reader."""

    def __init__(self, end: int = 0) -> None:
        self.end, self._finished, self._failed = end, False, False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish(failed=kind is not None)

    def reached(self, end: int) -> None:
        """Called by the writer: everything before the offset `end` is written."""
        with self._changed:
            self.end = max(self.end, end)
            self._changed.notify()

    def finish(self, failed: bool) -> None:
        """Called by the writer: no more bytes follow. failed: those that were written are void."""
        with self._changed:
            self._finished = True
            self._failed |= failed
            self._changed.notify()

    def wait(self, end: int) -> int:
        """Waits until everything before `end`, or the whole file, is written; returns the end. EOFError on failure."""
        with self._changed:
            self._changed.wait_for(lambda: self.end >= end or self._finished)
            if self._failed:
                raise EOFError
            return self.end


def read(file: BinaryIO, tail: Tail, offset: int, count: int) -> Iterator[bytes]:
    """Yields the `count` bytes of `file` from `offset` on as they are written, at most CHUNK at a time. EOFError."""
    stop = offset + count
    while offset < stop:
        data = os.pread(file.fileno(), min(CHUNK, stop - offset, tail.wait(offset + 1) - offset), offset)
        yield data
        offset += len(data)
