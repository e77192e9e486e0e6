"""Messages between executor and worker come out as they went in; what is no outcome raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.action import Call
from pipeline.language.problem import SpecWarning
from pipeline.model.digest import Digest
from pipeline.workers.parcel import Outcome, Parcel

DIGESTS = st.binary(max_size=4).map(Digest.of)
SIZES = st.dictionaries(DIGESTS, st.integers(0, 1 << 60), max_size=3)
CALLS = st.builds(
    Call,
    st.text(),
    st.one_of(st.integers(), st.text()),
    st.text().map(lambda text: text.encode(errors="replace")),
    st.lists(DIGESTS, max_size=3).map(tuple),
    st.text(),
)
PATHS = st.lists(st.one_of(st.text(), st.integers()), max_size=3).map(tuple)
WARNINGS = st.lists(st.builds(SpecWarning, PATHS, st.text(), st.text()), max_size=2).map(tuple)
OUTCOMES = st.builds(Outcome, st.text(), st.none() | DIGESTS, SIZES, st.floats(0, 1e6), WARNINGS, st.text(), st.text())


@given(st.builds(Parcel, st.text(), CALLS, SIZES))
def test_a_parcel_comes_out_as_it_went_in(parcel):
    loaded = Parcel.load(parcel.dump())
    assert loaded == parcel
    assert loaded.call.key == parcel.call.key


@given(OUTCOMES)
def test_an_outcome_comes_out_as_it_went_in(outcome):
    assert Outcome.load(outcome.dump()) == outcome


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"worker": "w", "result": "../x", "blobs": {}, "warnings": []}', b"\xff", b"null"]
)
def test_what_is_no_outcome_is_an_error_of_python(data):
    with pytest.raises((ValueError, TypeError, KeyError)):
        Outcome.load(data)
