"""Regions of sparse files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci.error import Refusal
from pipeline.oci.sparse import FILE_LIMIT, spread


@st.composite
def regions(draw):
    """Regions in order, and the size of the file."""
    found, at = [], 0
    for hole, size in draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)):
        found.append((at + hole, size))
        at += hole + size
    return found, at + draw(st.integers(0, 50))


@given(regions(), st.integers(0, 1000))
def test_extents_cover_the_file_and_their_data_stands_in_a_row(given_regions, start):
    found, size = given_regions
    data = sum(length for _, length in found)
    extents = spread(found, size, start, start + data)
    assert sum(length for _, length in extents) == size
    at, position = start, 0
    where = {offset + byte for offset, length in found for byte in range(length)}
    for offset, length in extents:
        if offset >= 0:
            assert offset == at and set(range(position, position + length)) <= where
            at += length
        else:
            assert not where & set(range(position, position + length))
        position += length
    assert at == start + data


@pytest.mark.parametrize(
    "found, size",
    [([(5, 5), (0, 5)], 20), ([(0, 5), (3, 5)], 20), ([(0, 30)], 20), ([(0, -1)], 20), ([], FILE_LIMIT + 1)],
)
def test_regions_that_lie_are_refused(found, size):
    with pytest.raises(Refusal):
        spread(found, size, 0, sum(length for _, length in found))


@pytest.mark.parametrize("there", [0, 9, 11])
def test_the_data_is_as_long_as_the_regions(there):
    with pytest.raises(Refusal):
        spread([(0, 10)], 20, 0, there)
