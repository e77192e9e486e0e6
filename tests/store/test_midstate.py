"""Sums that go on from where an earlier one was: always what hashlib says of all the bytes, and less is read."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, cut
from pipeline.store import Missing, Store, chunks, facts, midstate

BIG = midstate.APART


@pytest.fixture
def no_library(monkeypatch):
    """A host whose OpenSSL is not to be found."""
    monkeypatch.setattr(midstate, "LIBRARIES", ("libnone.so",))
    midstate._library.cache_clear()
    yield
    midstate._library.cache_clear()


def put(store, *texts):
    return tuple(Slice(store.put(text), 0, len(text)) for text in texts)


def digest(store, content, name):
    found = midstate.Sum(store, chunks.chunks(content), name)
    return found.digest(lambda place, count: store.read(cut(content, place, count)))


def expected(*texts):
    return Digest("sha256:" + hashlib.sha256(b"".join(texts)).hexdigest())


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 8))
def test_a_state_goes_on_where_it_was(chunks, at):
    first = midstate.Sha256()
    for chunk in chunks[:at]:
        first.update(chunk)
    second = midstate.Sha256(first.state)
    for each in (first, second):
        for chunk in chunks[at:]:
            each.update(chunk)
        assert each.hexdigest() == hashlib.sha256(b"".join(chunks)).hexdigest() == each.hexdigest()


@given(st.lists(st.lists(st.sampled_from(["a" * 40, "b" * 40, "c" * 7, ""]), max_size=6), max_size=5))
@settings(max_examples=40)
def test_whatever_came_before_the_sum_is_right(tmp_path_factory, contents):
    store = Store(tmp_path_factory.getbasetemp() / "shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(midstate, "APART", 50)
        patch.setattr(chunks, "LEAST", 25)
        for texts in contents:
            data = [text.encode() for text in texts]
            assert digest(store, put(store, *data), "memory") == expected(*data)


def test_what_is_the_same_at_the_beginning_is_not_read_again(store):
    start, end, other = bytes(BIG), b"1" * BIG, b"2" * 100
    digest(store, put(store, start, end), "memory")
    store.path(Digest.of(start)).unlink()
    store = Store(store.root)  # which has it open no more
    content = (Slice(Digest.of(start), 0, BIG), *put(store, other))
    assert digest(store, content, "memory") == expected(start, other)
    for different in (content[1:] + content[:1], (Slice(content[0].blob, 1, BIG - 1), *content[1:])):
        with pytest.raises(Missing):
            digest(store, different, "memory")


def test_without_the_library_everything_is_read(store, no_library):
    for last in (b"1", b"2"):
        assert digest(store, put(store, bytes(BIG), last), "memory") == expected(bytes(BIG), last)
    assert facts.known(store, midstate._fact("memory")) is None
