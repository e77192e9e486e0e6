"""Facts: what was found out is known again, and nothing else is."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Slice
from pipeline.store import Store, facts
from pipeline.store.wordsum import SMALL, wordsum


@given(st.text(max_size=20), st.text(max_size=40), st.integers(0), st.integers(0, 7))
def test_a_fact_is_known_until_it_is_damaged(tmp_path_factory, name, fact, place, bit):
    store = Store(tmp_path_factory.mktemp("store"))
    assert facts.known(store, name) is None
    facts.know(store, name, fact)
    assert facts.known(store, name) == fact and facts.known(store, name + "x") is None
    path = Path(facts._path(store, name))
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    assert facts.known(store, name) is None
    path.write_bytes(data[: place % len(data)])
    assert facts.known(store, name) is None


def words(data: bytes) -> int:
    """By the book: words are added, and what does not fit into 16 bits is added again."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2], "little")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.lists(st.one_of(st.binary(max_size=9), st.integers(0, 5)), max_size=6))
def test_a_sum_of_words_is_that_of_the_bytes(tmp_path_factory, pieces):
    store = Store(tmp_path_factory.getbasetemp() / "shared")
    content = tuple(
        Slice(None, 0, piece) if isinstance(piece, int) else Slice(store.put(b"x" + piece), 1, len(piece))
        for piece in pieces
    )
    data = b"".join(bytes(piece) for piece in pieces)
    assert wordsum(store, content) == words(data) % 0xFFFF


def test_a_large_slice_is_summed_once(tmp_path):
    store = Store(tmp_path)
    data = bytes(range(255)) * (SMALL // 255 + 2)
    content = (*store.content(b"odd"), Slice(store.put(data), 1, SMALL + 1))
    first = wordsum(store, content)
    assert first == words(b"odd" + data[1 : SMALL + 2]) % 0xFFFF
    store.path(content[1].blob).unlink()
    assert wordsum(Store(tmp_path), content) == first
