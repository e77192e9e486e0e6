"""A rope refers to what is there, and stores the rest as one blob."""

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Slice, length
from pipeline.store import Store
from pipeline.store.rope import TOGETHER, BlobWriter

steps = st.lists(
    st.tuples(st.just("write"), st.binary(max_size=30))
    | st.tuples(st.just("zeros"), st.integers(0, 30))
    | st.tuples(st.just("extend"), st.integers(0, 20)),
    max_size=12,
)


@given(steps)
def test_a_rope_is_what_was_appended(tmp_path_factory, steps):
    store = Store(tmp_path_factory.getbasetemp() / "ropes")
    known, rope, expected = store.put(bytes(range(40))), store.rope(), b""
    for step, value in steps:
        if step == "write":
            rope.write(value)
            expected += value
        elif step == "zeros":
            rope.zeros(value)
            expected += bytes(value)
        else:
            rope.extend((Slice(known, value, 20),))
            expected += bytes(range(value, value + 20))
        assert rope.tell() == len(expected)
    content = rope.finish()
    assert length(content) == len(expected) and store.bytes(content) == expected
    own = {piece.blob for piece in content} - {None, known}
    assert len(own) <= 1
    assert all(one.blob or two.blob for one, two in pairwise(content))


def test_what_follows_the_last_slice_is_merged_into_it(store):
    blob, rope = store.put(b"x" * 20), store.rope()
    for at in (0, 5, 10):
        rope.extend((Slice(blob, at, 5),))
    assert rope.finish() == (Slice(blob, 0, 15),)


def test_many_small_writes_are_one_blob(store):
    rope = store.rope()
    for _ in range(3 * TOGETHER // 1000):
        rope.write(b"y" * 1000)
    assert len(rope.finish()) == 1


def test_a_blob_that_is_not_committed_leaves_nothing(store):
    before = sorted(os.listdir(store.scratch().parent))
    writer = BlobWriter(store)
    writer.write(b"x")
    writer.close()
    assert sorted(os.listdir(store.scratch().parent)) == before


def test_a_committed_blob_is_there(store):
    writer = BlobWriter(store)
    writer.write(b"one")
    writer.write(memoryview(b"two"))
    assert store.get(writer.commit()) == b"onetwo"
    with pytest.raises(ValueError):
        writer.write(b"more")
