"""Sizes as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import size
from pipeline.model.errors import BadInput


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("1K", 1024),
        ("2KiB", 2048),
        ("1.5 M", 3 << 19),
        ("8G", 8 << 30),
        ("1tb", 1 << 40),
    ],
)
def test_units_are_powers_of_1024(text, expected):
    assert size.parse(text) == expected


@pytest.mark.parametrize("text", ["", "G", "-1", "1e3", "1X", "1,5M", "١"])
def test_other_texts_are_refused(text):
    with pytest.raises(BadInput, match="500M or 10G"):
        size.parse(text)


@given(st.integers(0, 900 << 40))
def test_what_is_shown_is_short_and_within_a_percent(count):
    shown = size.shown(count)
    assert len(shown) <= 9
    assert abs(size.parse(shown) - count) <= count / 100


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5)))
def test_the_largest_come_first_and_equal_ones_by_name(sizes):
    rows = size.largest_first(sizes)
    assert dict(rows) == sizes
    assert [(-count, name) for name, count in rows] == sorted((-count, name) for name, count in rows)


def test_owners_get_the_sum_of_theirs():
    assert list(size.by_owner([("a", 1), ("b", 5), ("a", 2)]).items()) == [("b", 5), ("a", 3)]
