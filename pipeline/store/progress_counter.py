"""Counts the bytes that the work of a stage has moved, for a progress display. Costs nothing where there is none.

Reads from the store and writes into it are counted without the stage's help. A stage that starts threads of its own, or
waits for a network, calls `advance` for what has come, and `ProgressCounter.expect` for what will come.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar


class ProgressCounter:
    """Bytes moved so far (`count`), of `total` if that is known, else 0. Threads of one stage write, another reads."""

    __slots__ = ("_guard", "count", "total")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.count = self.total = 0

    def expect(self, count: int) -> None:
        """Adds `count` bytes to those that will be moved."""
        with self._guard:
            self.total += count

    def advance(self, count: int) -> None:
        """Adds `count` bytes to those moved so far; negative if some were moved in vain."""
        with self._guard:
            self.count += count


current: ContextVar[ProgressCounter | None] = ContextVar("progress counter", default=None)
"""Counter of the stage that this thread works for. A stage's own threads have none unless the stage sets theirs."""


def advance(count: int) -> None:
    """Adds `count` bytes to what this thread's stage has moved."""
    counter = current.get()
    if counter is not None:
        counter.advance(count)
