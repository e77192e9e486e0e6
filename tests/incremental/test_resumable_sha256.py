"""Resumed hashes: always what hashlib makes of all the bytes, and less is read."""

import hashlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incremental import chunks, open_store, resumable_sha256
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, cut
from pipeline.store import Missing

BIG = resumable_sha256.SEGMENT


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "cache")


@pytest.fixture
def no_library(monkeypatch):
    """Resumed hashes: always what hashlib makes of all the bytes, and less is read."""
    monkeypatch.setattr(resumable_sha256, "LIBRARIES", ("libnone.so",))
    resumable_sha256._library.cache_clear()
    yield
    resumable_sha256._library.cache_clear()


def put(store, *texts):
    return tuple(Slice(store.put(text), 0, len(text)) for text in texts)


def digest(store, content, name):
    found = resumable_sha256.ResumableSha256(store, chunks.chunks(content), name)
    return found.hash(lambda place, count: store.read(cut(content, place, count)))


def expected(*texts):
    return Digest("sha256:" + hashlib.sha256(b"".join(texts)).hexdigest())


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 8))
def test_a_state_goes_on_where_it_was(chunks, at):
    first = resumable_sha256.Sha256()
    for chunk in chunks[:at]:
        first.update(chunk)
    second = resumable_sha256.Sha256(first.state)
    for each in (first, second):
        for chunk in chunks[at:]:
            each.update(chunk)
        assert each.hexdigest() == hashlib.sha256(b"".join(chunks)).hexdigest() == each.hexdigest()


@given(st.lists(st.lists(st.sampled_from(["a" * 40, "b" * 40, "c" * 7, ""]), max_size=6), max_size=5))
@settings(max_examples=40)
def test_whatever_came_before_the_sum_is_right(tmp_path_factory, contents):
    store = open_store(tmp_path_factory.getbasetemp() / "shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable_sha256, "SEGMENT", 50)
        patch.setattr(chunks, "LEAST", 25)
        for texts in contents:
            data = [text.encode() for text in texts]
            assert digest(store, put(store, *data), "memory") == expected(*data)


def test_what_is_the_same_at_the_beginning_is_not_read_again(store):
    start, end, other = bytes(BIG), b"1" * BIG, b"2" * 100
    digest(store, put(store, start, end), "memory")
    store.path(Digest.of(start)).unlink()
    store = open_store(store.root)  # which has it open no more
    content = (Slice(Digest.of(start), 0, BIG), *put(store, other))
    assert digest(store, content, "memory") == expected(start, other)
    for different in (content[1:] + content[:1], (Slice(content[0].blob, 1, BIG - 1), *content[1:])):
        with pytest.raises(Missing):
            digest(store, different, "memory")


def test_without_the_library_everything_is_read(store, no_library):
    for last in (b"1", b"2"):
        assert digest(store, put(store, bytes(BIG), last), "memory") == expected(bytes(BIG), last)
    assert store.memo.get(f"states {sys.byteorder} memory") is None
