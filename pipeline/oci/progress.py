"""Progress: one line about everything that this process transfers, where a person watches; else a line an image.

While a build shows what its stages do (pipeline.tasks.progress), their transfers are part of that.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from pipeline.host.terminal import printable
from pipeline.model.size import shown
from pipeline.store import progress_counter

EVERY = 0.2
"""Seconds between two drawings of the line."""
WORTH_SAYING = 1.0
"""Seconds of a transfer from which on it is told that it is done."""


class Line:
    """Counts what all transfers of a process bring. `out` None: standard error, as it is when something is written."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._guard = threading.Lock()
        self._active: list[str] = []
        self._done = self._total = 0
        self._since = self._drawn = 0.0

    @contextlib.contextmanager
    def transfer(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A transfer of `total` bytes; tell what is given how many have come. Nothing is said of an empty one."""
        if not total:
            yield lambda _: None
            return
        begun = self._clock()
        with self._guard:
            if not self._active:
                self._done, self._total, self._since = 0, 0, begun
            self._active.append(name)
            self._total += total
        try:
            yield self._add
            took = self._clock() - begun
            if took >= WORTH_SAYING:
                self._say(f"{name}: {shown(total)} in {took:.1f} s ({shown(rate(total, took))}/s)")
        finally:
            with self._guard:
                self._active.remove(name)

    def _add(self, count: int) -> None:
        with self._guard:
            self._done += count
            now = self._clock()
            if now - self._drawn < EVERY or not self._stream.isatty():
                return
            self._drawn = now
            self._stream.write("\r\x1b[K" + self._line(now - self._since))
            self._stream.flush()

    def _line(self, took: float) -> str:
        speed = rate(self._done, took)
        left = f"{(self._total - self._done) / speed:.0f} s left" if speed else "waiting"
        more = f" and {len(self._active) - 1} more" if len(self._active) > 1 else ""
        name = printable(self._active[0][-50:])
        return f"{name}{more}  {shown(self._done)} of {shown(self._total)}  {shown(speed)}/s  {left}"

    def _say(self, text: str) -> None:
        with self._guard:
            self._stream.write(("\r\x1b[K" if self._stream.isatty() else "") + printable(text) + "\n")
            self._stream.flush()

    @property
    def _stream(self) -> TextIO:
        return self._out or sys.stderr


line = Line()


@contextlib.contextmanager
def transfer(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A transfer of `total` bytes: what is given wants to know how many more have come (negative: came in vain).

    In a stage whose reporter shows what it moves it goes there, otherwise to the line.
    """
    stage = progress_counter.current.get()
    if stage is None:
        with line.transfer(name, total) as tell:
            yield tell
    else:
        stage.expect(total)
        yield stage.advance


def rate(count: float, seconds: float) -> float:
    """Bytes a second."""
    return count / seconds if seconds > 0 else 0.0
