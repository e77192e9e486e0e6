"""Bytes that a stage has moved."""

import threading

from pipeline.store.progress_counter import ProgressCounter, advance, current


def test_threads_add_to_the_counter_that_they_were_given():
    counter = ProgressCounter()
    counter.expect(4000)
    threads = [threading.Thread(target=lambda: [counter.advance(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counter.count, counter.total) == (4000, 4000)


def test_a_read_counts_for_the_stage_of_its_thread(store):
    content = store.content(b"x" * 1000)
    counter = ProgressCounter()
    token = current.set(counter)
    try:
        store.bytes(content)
        advance(-10)
    finally:
        current.reset(token)
    advance(5)
    assert counter.count == 990
