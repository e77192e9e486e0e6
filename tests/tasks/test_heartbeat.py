"""A build without a live view is not silent for long: lines about what is running, ever more seldom."""

from __future__ import annotations

import re
import threading
import time

import pytest

from pipeline.store.progress_counter import ProgressCounter
from pipeline.tasks import heartbeat
from pipeline.tasks.heartbeat import Heartbeat, Work, running
from tests import patience


def test_each_pause_is_twice_as_long_until_something_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FIRST_SECONDS", 0.001)
    pauses: list[float] = []
    done = threading.Event()

    def beat() -> None:
        pauses.append(beating._pause)
        if len(pauses) == 3:
            beating.touch()
        if len(pauses) == 5:
            done.set()
            beating.stop()

    beating = Heartbeat(beat)
    beating.start()
    beating.start()
    assert done.wait(patience.seconds(60))
    assert pauses == pytest.approx([0.002, 0.004, 0.008, 0.002, 0.004])


def test_a_line_names_what_is_running() -> None:
    assert running({}) == ""
    moved = ProgressCounter()
    moved.advance(5 << 20)
    begun = time.monotonic() - 60
    work = {"build:a": Work(begun, ProgressCounter()), "build:b": Work(begun, moved), "build:c": Work(begun, moved)}
    line = r"running: build:a \(6\d s\), build:b \(6\d s, 5 MiB, \S+ \S+/s\) and 1 more\n"
    assert re.fullmatch(line, running(work)), running(work)
