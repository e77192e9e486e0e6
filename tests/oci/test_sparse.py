"""Regions of sparse files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci.error import Refusal
from pipeline.oci.sparse import FILE_LIMIT, pax_extents


def extents(regions, size, data, start=0):
    """The extents of a file in GNU's format 0.1, whose `data` bytes stand at `start`."""
    numbers = ",".join(f"{offset},{length}" for offset, length in regions)
    records = [(b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", numbers.encode())]
    return pax_extents(records, b"", start, data)


@st.composite
def files(draw):
    """Regions in order, and the size of the file."""
    found, at = [], 0
    for hole, size in draw(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8)):
        found.append((at + hole, size))
        at += hole + size
    return found, at + draw(st.integers(0, 50))


@given(files(), st.integers(0, 1000))
def test_extents_cover_the_file_and_their_data_stands_in_a_row(file, start):
    regions, size = file
    where = {offset + byte for offset, length in regions for byte in range(length)}
    found = extents(regions, size, len(where), start)
    assert sum(length for _, length in found) == size
    at, position = start, 0
    for offset, length in found:
        covered = set(range(position, position + length))
        assert covered <= where if offset >= 0 else not covered & where
        if offset >= 0:
            assert offset == at
            at += length
        position += length
    assert at == start + len(where)


@pytest.mark.parametrize(
    ("regions", "size"),
    [([(5, 5), (0, 5)], 20), ([(0, 5), (3, 5)], 20), ([(0, 30)], 20), ([(0, -1)], 20), ([(0, 1)], FILE_LIMIT + 1)],
)
def test_regions_that_lie_are_refused(regions, size):
    with pytest.raises(Refusal):
        extents(regions, size, sum(length for _, length in regions))


@pytest.mark.parametrize("data", [0, 9, 11])
def test_the_data_is_as_long_as_the_regions(data):
    with pytest.raises(Refusal):
        extents([(0, 10)], 20, data)
