"""Pieces are packed once, whatever else a disk holds, and again when they were lost."""

import pytest

from pipeline.stages import pieces
from pipeline.store import Store

PARTS = [b"one" * 100, b"", b"two" * 50]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def made(store, parts, how="halves", calls=None):
    def halves(part):
        number, data = part
        if calls is not None:
            calls.append(number)
        return [data[: len(data) // 2], bytes([number]) * number]

    numbered = [(number, store.content(data)) for number, data in enumerate(parts)]
    return [[store.bytes((piece,)) for piece in part] for part in pieces.made(store, how, halves, numbered)]


def expected(parts):
    return [[data[: len(data) // 2], bytes([number]) * number] for number, data in enumerate(parts)]


def test_each_part_gives_its_results_in_order(store):
    assert made(store, PARTS) == expected(PARTS)


def test_what_was_made_is_not_made_again(store):
    made(store, PARTS)
    calls = []
    assert made(store, [*PARTS[:2], b"other"], calls=calls) == expected([*PARTS[:2], b"other"])
    assert calls == [2]
    made(store, PARTS, how="otherwise", calls=calls)
    assert sorted(calls) == [0, 1, 2, 2]


def test_what_was_lost_is_made_again(store):
    made(store, PARTS)
    for part in pieces.made(store, "halves", lambda part: [], [(0, store.content(PARTS[0]))]):
        store.path(part[0].blob).unlink()
    assert made(Store(store.root), PARTS) == expected(PARTS)


def test_a_fact_that_was_damaged_is_not_believed(store):
    made(store, PARTS)
    for path in (store.root / "sums").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    calls = []
    assert made(store, PARTS, calls=calls) == expected(PARTS)
    assert len(calls) == len(PARTS)
