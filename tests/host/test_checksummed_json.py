"""Sealed documents: what was written under a name is read under it, and nothing else is."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.host import checksummed_json

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(st.text(max_size=5).filter("seal".__ne__), values, min_size=1, max_size=4)


@given(documents, st.text(max_size=9), st.text(max_size=9))
def test_a_document_is_read_under_its_name_alone(document, name, other):
    data = checksummed_json.dump(name, document)
    assert checksummed_json.load(name, data) == document
    assert (checksummed_json.load(other, data) is None) == (other != name)
    assert {key: value for key, value in json.loads(data).items() if key != "seal"} == document


@given(documents, st.integers(0), st.integers(1, 255), st.binary(max_size=9))
def test_a_document_that_was_damaged_is_not_read(document, place, change, more):
    data = checksummed_json.dump("name", document)
    flipped = bytearray(data)
    flipped[place % len(data)] ^= change
    for wrong in (bytes(flipped), data[: place % len(data)], data + b"\0" + more, more, b""):
        assert checksummed_json.load("name", wrong) is None
