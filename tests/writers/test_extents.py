"""Blocks that hold data."""

from array import array
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, cut, length
from pipeline.writers.extents import allocated, runs, to_bytes

BLOB = Digest.of(b"")


@st.composite
def contents(draw):
    pieces = draw(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12))
    blobs = [(BLOB, 100 * at) if data else (None, 0) for at, (data, _) in enumerate(pieces)]
    return tuple(Slice(*blob, size) for blob, (_, size) in zip(blobs, pieces, strict=True))


@given(contents(), st.integers(1, 16))
def test_a_block_is_in_a_run_if_some_byte_of_it_is_data(content, block):
    found = runs(content, block)
    inside = {number for run in found for number in range(run.first, run.end)}
    at, expected = 0, set()
    for piece in content:
        if piece.blob:
            expected |= {byte // block for byte in range(at, at + piece.length)}
        at += piece.length
    assert inside == expected
    assert all(one.end < two.first for one, two in pairwise(found))


@given(contents(), st.integers(1, 16))
def test_a_run_holds_what_is_there(content, block):
    size = length(content)
    for run, inside in allocated(content, block):
        start, end = run.first * block, min(run.end * block, size)
        assert length(inside) == end - start
        assert merged(inside) == merged(cut(content, start, end - start))


def merged(content):
    """The bytes by where they come from."""
    return [(piece.blob, piece.offset + at if piece.blob else 0) for piece in content for at in range(piece.length)]


def test_words_have_the_order_that_was_asked_for():
    table = array("I", [1, 2])
    assert to_bytes(table, "big") == b"\0\0\0\1\0\0\0\2" and to_bytes(table, "little") == b"\1\0\0\0\2\0\0\0"
    assert table.tolist() == [1, 2]
