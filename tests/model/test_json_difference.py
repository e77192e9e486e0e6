"""Differences of two JSON values."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.json_difference import ABSENT, Change, differences

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def one_value(before, now):
    return None


@given(values, values)
def test_there_is_a_change_if_and_only_if_two_values_are_unequal(before, now):
    assert bool(list(differences(before, now))) == (
        json.dumps(before, sort_keys=True) != json.dumps(now, sort_keys=True)
    )


@given(values, values)
def test_a_change_has_the_values_at_its_path(before, now):
    def at(value, path):
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError):
                return ABSENT
        return value

    for change in differences(before, now):
        assert (at(before, change.path), at(now, change.path)) == change[1:]


def test_lists_are_compared_by_index_or_as_one_value():
    before, now = {"args": ["sh", "-c"], "a": 1}, {"args": ["sh"], "b": [True]}
    changes = [Change(("args", 1), "-c", ABSENT), Change(("a",), 1, ABSENT), Change(("b",), ABSENT, [True])]
    assert list(differences(before, now)) == changes
    changes[0] = Change(("args",), ["sh", "-c"], ["sh"])
    assert list(differences(before, now, one_value)) == changes
    assert list(differences([1], [True])) == [Change((0,), 1, True)]
