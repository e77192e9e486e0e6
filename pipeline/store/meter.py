"""Meter: how many bytes the work of a stage has moved, for whoever shows progress. Costs nothing where nobody does.

A stage need not know of it: what it reads from the store and writes into it counts. Where it starts threads of its own,
or waits for a network, `advance` says what has come, and `Meter.expect` how much will.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar


class Meter:
    """Bytes moved so far, of `total` where that is known (else 0). Threads of one stage write, another one reads."""

    __slots__ = ("_guard", "count", "total")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.count = self.total = 0

    def expect(self, count: int) -> None:
        """`count` bytes will be moved."""
        with self._guard:
            self.total += count

    def advance(self, count: int) -> None:
        """`count` more bytes have been moved; negative: some were moved in vain."""
        with self._guard:
            self.count += count


current: ContextVar[Meter | None] = ContextVar("meter", default=None)
"""The meter of the stage that this thread works for; a stage's own threads have none unless it sets theirs."""


def advance(count: int) -> None:
    """`count` more bytes have been moved."""
    meter = current.get()
    if meter is not None:
        meter.advance(count)
