"""Patience: time-outs of tests, as long as the machine is slow.

A time-out is there to end what hangs, and a slow or busy machine must not look like a hang. So each is given for a
quiet machine and multiplied by how much slower this one is: the yardstick is a fixed amount of work, measured once
when the test run starts and handed to all its processes.
"""

from __future__ import annotations

import os
import time

VARIABLE = "NODEKILN_TEST_PATIENCE"
"""Environment variable with the factor: set by the first process of a run, or by a person who knows better."""
QUIET_SECONDS = 0.42
"""Duration of the yardstick on the quiet machine that the time-outs were chosen on, in seconds."""
STEPS = 3_000_000
"""Steps of the yardstick's loop."""
MOST = 20.0
"""Upper bound of the factor: beyond it a run would not end within a working day."""


def seconds(quiet: float) -> float:
    """Returns the time-out for something that must end within `quiet` seconds on a quiet machine."""
    return quiet * factor()


def factor() -> float:
    """Returns how much slower than a quiet machine this one was when the run started, from 1 to MOST."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = f"{min(max(_yardstick() / QUIET_SECONDS, 1.0), MOST):.2f}"
    return float(os.environ[VARIABLE])


def _yardstick() -> float:
    """Returns the wall-clock seconds of the yardstick: the slowest of three, as what else runs comes and goes."""
    return max(_loop() for _ in range(3))


def _loop() -> float:
    started, value = time.perf_counter(), 0
    for step in range(STEPS):
        value = (value * 31 + step) & 0xFFFFFFFF
    return time.perf_counter() - started
