"""Meter: how many bytes the work of this thread has moved, for whoever shows progress. Costs nothing where nobody does.

A stage need not know of it: what it reads from the store and writes into it counts. Where it starts threads of its own,
or waits for a network, `advance` says what has come.
"""

from __future__ import annotations

from contextvars import ContextVar


class Meter:
    """Bytes moved so far; written by one thread, read by another."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


current: ContextVar[Meter | None] = ContextVar("meter", default=None)
"""The meter of the stage that this thread works for. `contextvars.copy_context().run` takes it into another thread."""


def advance(count: int) -> None:
    """`count` more bytes have been moved."""
    meter = current.get()
    if meter is not None:
        meter.count += count
