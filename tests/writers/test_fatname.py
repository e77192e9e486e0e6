"""Names in a FAT directory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.writers import FormatError, fatname

names = st.lists(st.text(st.sampled_from("abAB.1 ä~"), min_size=1, max_size=14), max_size=12, unique_by=str.upper)


@given(names)
def test_short_names_are_all_different_and_legal(some):
    short = fatname.short_names(some)
    assert short.keys() == set(some) and len(set(short.values())) == len(some)
    for name in short.values():
        assert len(name) == 11 and set(name.decode("ascii")) <= fatname.SHORT | {" "}


def test_a_label_is_padded_and_in_capitals():
    assert fatname.label("node") == b"NODE       " and fatname.label("") == b"NO NAME    "
    for wrong in ("x" * 12, "ä"):
        with pytest.raises(FormatError, match="11 characters of ASCII"):
            fatname.label(wrong)


@pytest.mark.parametrize("some", [["a", "A"], ["a:b"], ["x" * 256], ["a\n"]])
def test_names_that_have_no_place_are_refused(some):
    with pytest.raises(FormatError):
        fatname.room(some, "folder")


def test_the_room_is_whole_sectors():
    assert fatname.room([], "") == 512 == fatname.room(["A"], "") and fatname.room(["a" * 200], "") == 1024
