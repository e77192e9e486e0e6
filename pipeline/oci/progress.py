"""Progress of transfers: one line for all of them on a terminal, else a line per image.

While a build shows the progress of its stages (pipeline.tasks.progress), transfers count there instead.
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

Progress = Callable[[int], object]
"""Called with the number of bytes transferred since the last call; negative to take back discarded bytes."""

REDRAW_SECONDS = 0.2
"""Minimum time between two drawings of the line, in seconds."""
REPORT_SECONDS = 1.0
"""Minimum duration of a transfer whose end is reported, in seconds."""


class Line:
    """Counts all transfers of a process. out: by default standard error, as it is at the time of writing."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._guard = threading.Lock()
        self._active: list[str] = []
        self._done = self._total = 0
        self._since = self._drawn = 0.0

    @contextlib.contextmanager
    def transfer(self, name: str, total: int) -> Iterator[Progress]:
        """Yields the callback of a transfer of `total` bytes. An empty transfer is not shown."""
        if not total:
            yield lambda _: None
            return
        start = self._clock()
        with self._guard:
            if not self._active:
                self._done, self._total, self._since = 0, 0, start
            self._active.append(name)
            self._total += total
        try:
            yield self._add
            seconds = self._clock() - start
            if seconds >= REPORT_SECONDS:
                self._print(f"{name}: {shown(total)} in {seconds:.1f} s ({shown(rate(total, seconds))}/s)")
        finally:
            with self._guard:
                self._active.remove(name)
                if not self._active and self._drawn > self._since:
                    self._stream.write("\r\x1b[K")
                    self._stream.flush()

    def _add(self, count: int) -> None:
        with self._guard:
            self._done += count
            now = self._clock()
            if now - self._drawn < REDRAW_SECONDS or not self._stream.isatty():
                return
            self._drawn = now
            self._stream.write("\r\x1b[K" + self._line(now - self._since))
            self._stream.flush()

    def _line(self, seconds: float) -> str:
        speed = rate(self._done, seconds)
        left = f"{(self._total - self._done) / speed:.0f} s left" if speed else "waiting"
        more = f" and {len(self._active) - 1} more" if len(self._active) > 1 else ""
        name = printable(self._active[0][-50:])
        return f"{name}{more}  {shown(self._done)} of {shown(self._total)}  {shown(speed)}/s  {left}"

    def _print(self, text: str) -> None:
        with self._guard:
            self._stream.write(("\r\x1b[K" if self._stream.isatty() else "") + printable(text) + "\n")
            self._stream.flush()

    @property
    def _stream(self) -> TextIO:
        return self._out or sys.stderr


line = Line()


@contextlib.contextmanager
def transfer(name: str, total: int) -> Iterator[Progress]:
    """Yields the callback of a transfer of `total` bytes; it counts for the current stage, if there is one."""
    stage = progress_counter.current.get()
    if stage is None:
        with line.transfer(name, total) as progress:
            yield progress
    else:
        stage.expect(total)
        yield stage.advance


def rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
