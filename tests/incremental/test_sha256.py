"""The sum of a content: the bytes' own, found out once."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incremental import open_store, sha256
from pipeline.model.tree import Slice

LARGE = 1 << 20


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 2 * LARGE)), max_size=3))
def test_the_digest_is_that_of_the_bytes(tmp_path_factory, pieces):
    store = open_store(tmp_path_factory.mktemp("store"))
    content = tuple(
        each
        for data, hole in pieces
        for each in (*((Slice(store.put(data), 0, len(data)),) if data else ()), Slice(None, 0, hole))
    )
    whole = b"".join(data + bytes(hole) for data, hole in pieces)
    assert sha256(store, content) == "sha256:" + hashlib.sha256(whole).hexdigest()


def test_a_large_content_is_read_once(tmp_path):
    store = open_store(tmp_path)
    blob = store.put(b"x")
    content = (Slice(blob, 0, 1), Slice(None, 0, LARGE))
    first = sha256(store, content)
    store.path(blob).unlink()
    assert sha256(store, content) == first
