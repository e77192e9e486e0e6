"""Sums of 16-bit words, and of large slices only once."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.incremental import checksum16, open_store
from pipeline.incremental.checksum import SMALL
from pipeline.model.tree import Slice


def words(data: bytes) -> int:
    """The sum as the specification describes it: words are added, and the carry is added again."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2], "little")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.lists(st.one_of(st.binary(max_size=9), st.integers(0, 5)), max_size=6))
def test_the_sum_is_that_of_the_bytes(tmp_path_factory, pieces):
    store = open_store(tmp_path_factory.getbasetemp() / "shared")
    content = tuple(
        Slice(None, 0, piece) if isinstance(piece, int) else Slice(store.put(b"x" + piece), 1, len(piece))
        for piece in pieces
    )
    data = b"".join(bytes(piece) for piece in pieces)
    assert checksum16(store, content) == words(data) % 0xFFFF


def test_a_large_slice_is_read_once(tmp_path):
    store = open_store(tmp_path)
    data = bytes(range(255)) * (SMALL // 255 + 2)
    content = (*store.content(b"odd"), Slice(store.put(data), 1, SMALL + 1))
    first = checksum16(store, content)
    assert first == words(b"odd" + data[1 : SMALL + 2]) % 0xFFFF
    store.path(content[1].blob).unlink()
    assert checksum16(open_store(tmp_path), content) == first
