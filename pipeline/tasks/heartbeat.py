"""Heartbeat: what is running, and a line about it when a build without a live view has printed nothing for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipeline.model import size
from pipeline.store import progress_counter

FIRST_SECONDS = 2.0
"""Silence after which the first line is printed, in seconds; each further one takes twice as long."""
NAMED = 2
"""Maximum number of running tasks that a line names; the rest are counted."""


class Work(NamedTuple):
    """A running task: its start (monotonic seconds), and its meter of bytes moved."""

    begun: float
    meter: progress_counter.ProgressCounter


class Heartbeat:
    """Calls `beat` in a thread of its own, while nothing else is printed."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._ended = threading.Event()
        self._started = False
        self.touch()

    def start(self) -> None:
        """Begins; further calls do nothing."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, daemon=True).start()

    def touch(self) -> None:
        """Something was printed: the next beat is FIRST_SECONDS away."""
        self._last, self._pause = time.monotonic(), FIRST_SECONDS

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(max(0.0, self._last + self._pause - time.monotonic())):
            if time.monotonic() >= self._last + self._pause:
                self._last, self._pause = time.monotonic(), 2 * self._pause
                self._beat()


def running(work: Mapping[str, Work]) -> str:
    """Returns a line about the tasks that are running, by name; "" for none."""
    now = time.monotonic()
    shown = [f"{name} ({', '.join(_details(each, now))})" for name, each in [*work.items()][:NAMED]]
    more = f" and {len(work) - NAMED} more" if len(work) > NAMED else ""
    return f"running: {', '.join(shown)}{more}\n" if shown else ""


def _details(work: Work, now: float) -> list[str]:
    moved = described(work.meter, now - work.begun)
    return [f"{now - work.begun:.0f} s", *[moved] * bool(moved)]


def described(moved: progress_counter.ProgressCounter, seconds: float) -> str:
    """Returns the bytes that a task moved in `seconds`, with total and time left if they are known; "" for none."""
    if not moved.count:
        return ""
    rate = moved.count / max(seconds, 0.001)
    if not moved.total:
        return f"{size.shown(moved.count)}, {size.shown(rate)}/s"
    left = max(moved.total - moved.count, 0) / rate
    return f"{size.shown(moved.count)} of {size.shown(moved.total)}, {size.shown(rate)}/s, {left:.0f} s left"
