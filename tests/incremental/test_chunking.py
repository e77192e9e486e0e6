"""Blocks are compressed once, whatever else a disk holds, and again when their chunk was lost."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incremental import chunking, compress_blocks, one_by_one, open_store
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, split

PIECES = [b"one" * 100, b"", b"two" * 50, b"odd"]
SIZE = 64 << 10


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def packed(store, contents, how="halves", calls=None, chunk=chunking.CHUNK):
    def half(data):
        if calls is not None:
            calls.append(data)
        return data[: len(data) // 2]

    return list(compress_blocks(store, how, one_by_one(half), contents, chunk=chunk))


def stored(store, texts):
    return [store.content(text) for text in texts]


def read(store, slices):
    return [store.bytes((piece,)) for piece in slices]


def halves(texts):
    return [text[: len(text) // 2] for text in texts]


@given(st.lists(st.binary(max_size=40), max_size=12))
@settings(max_examples=60)
def test_each_piece_gives_its_result_in_order(tmp_path_factory, texts):
    store = open_store(tmp_path_factory.getbasetemp() / "pieces")
    for _ in range(2):  # made, and found
        assert read(store, packed(store, stored(store, texts), chunk=30)) == halves(texts)


def test_what_was_made_is_not_made_again(store):
    first, calls = packed(store, stored(store, PIECES)), []
    assert packed(store, stored(store, PIECES), calls=calls) == first
    assert calls == []
    packed(store, stored(store, PIECES), how="otherwise", calls=calls)
    assert sorted(calls) == sorted(PIECES)


def test_a_change_packs_what_is_near_it(store):
    """Behind what was put in or taken away, parts are soon those that they were."""
    noise = random.Random(1).randbytes(60 << 20)
    all_of_it = (Slice(store.put(noise), 0, len(noise)),)
    contents = list(split(all_of_it, SIZE))
    packed(store, contents)
    for changed in ([*contents[:100], *stored(store, [b"new"]), *contents[100:]], contents[:100] + contents[101:]):
        calls = []
        assert read(store, packed(store, changed, calls=calls)) == halves(read_all(store, changed))
        assert 0 < sum(map(len, calls)) <= 12 * chunking.CHUNK


def read_all(store, contents):
    return [b"".join(store.read(content)) for content in contents]


def test_what_was_lost_is_made_again(store):
    for piece in packed(store, stored(store, PIECES)):
        store.path(Digest(piece.blob)).unlink(missing_ok=True)
    assert read(open_store(store.root), packed(open_store(store.root), stored(store, PIECES))) == halves(PIECES)


def test_a_damaged_memo_is_not_used(store):
    packed(store, stored(store, PIECES))
    for path in (store.root / "sums").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    calls = []
    assert read(store, packed(store, stored(store, PIECES), calls=calls)) == halves(PIECES)
    assert len(calls) == len(PIECES)


def test_an_error_of_the_work_is_passed_on(store):
    def broken(data):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(compress_blocks(store, "broken", broken, stored(store, PIECES)))
