"""A build that is killed at any point leaves whole objects only, and the next one goes on to the right result."""

import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.engine.gc import collect
from pipeline.incremental import open_store
from tests.engine.graphs import build, check_whole, graph

RUNS = 300
SLICES = 10
"""Tests that share the runs, so that a failure says roughly where and pytest-xdist can spread them."""


def killed_at_a_call(countdown: int) -> None:
    """This process is killed just before it calls its `countdown`th function of C (write, rename, flock, …)."""
    left = [countdown]

    def count(frame, event, argument):
        if event == "c_call":
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


def killed_after(microseconds: int) -> None:
    """This process ends after a time, by a signal that nobody catches: in the middle of what the kernel does."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, microseconds / 1e6)


def in_a_child(work) -> int:
    """Run `work` in a forked process; the status that it ended with."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.setprofile(None)
            os._exit(code)
    return os.waitpid(child, 0)[1]


def doomed(root: Path, seed: int, fate: int) -> None:
    chance = random.Random(fate)
    if fate % 2:
        killed_at_a_call(chance.randrange(1, 2500))
    else:
        killed_after(chance.randrange(1, 15000))
    store = open_store(root)
    with ThreadPoolExecutor(chance.choice([1, 3])) as pool:
        list(pool.map(lambda action: build(store, [action]), graph(seed)))


@pytest.mark.parametrize("part", range(SLICES))
def test_a_killed_build_leaves_whole_objects_and_the_next_one_is_right(tmp_path, part):
    died = 0
    for seed in range(part, RUNS, SLICES):
        root, right = tmp_path / str(seed), build(open_store(tmp_path / f"right{seed}"), graph(seed))
        for fate in (2 * seed, 2 * seed + 1):  # the second one starts from what the first one left
            status = in_a_child(lambda: doomed(root, seed, fate))  # noqa: B023
            died += os.WIFSIGNALED(status)
            assert os.WIFSIGNALED(status) or status == 0, "the build ended with an error of its own"
            check_whole(open_store(root))
        store = open_store(root)
        assert build(store, graph(seed)) == right
        check_whole(store)
        left = {path.suffix for path in (root / "tmp").iterdir()}
        assert left == {".lock"}, "what the killed build was writing is removed by the next one"
        collect(store, graph(seed), None)
        assert not any((root / "locks").iterdir())
    assert died > RUNS // SLICES, "too few runs were killed for the test to mean something"
