"""OrderedThreadPool: threads work, and their results come in order."""

import threading
import time

import pytest

from pipeline.compression.ordered_pool import MAX_QUEUED, OrderedThreadPool


def slow_at_first(number):
    time.sleep(0.02 if number % 10 == 0 else 0)
    return -number


def fails_at_seven(number):
    if number == 7:
        raise ValueError("seven")
    return number


def test_results_are_taken_in_the_order_of_submission():
    taken = []
    with OrderedThreadPool(slow_at_first) as threads:
        for number in range(100):
            threads.submit(number, taken.append)
            assert len(taken) >= number + 1 - MAX_QUEUED
    assert taken == [-number for number in range(100)]


def test_drain_takes_all_but_some():
    taken = []
    with OrderedThreadPool(slow_at_first) as threads:
        for number in range(5):
            threads.submit(number, taken.append)
        threads.drain(2)
        assert taken == [0, -1, -2]


def test_what_work_raises_is_raised_here_and_the_threads_end():
    taken, before = [], threading.active_count()
    with pytest.raises(ValueError, match="seven"), OrderedThreadPool(fails_at_seven) as threads:
        for number in range(20):
            threads.submit(number, taken.append)
    assert taken == list(range(7))
    assert threading.active_count() == before


def test_a_failed_block_drops_what_waits():
    done, before = [], threading.active_count()
    with pytest.raises(KeyError), OrderedThreadPool(lambda number: done.append(time.sleep(0.05))) as threads:
        for number in range(MAX_QUEUED):
            threads.submit(number, lambda result: None)
        raise KeyError
    assert len(done) < MAX_QUEUED
    assert threading.active_count() == before
