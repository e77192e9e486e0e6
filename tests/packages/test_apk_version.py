"""The order of Alpine's versions, by the examples of its rules."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packages.apk_version import is_older

SORTED = [
    "0.1", "1.0_alpha", "1.0_alpha2", "1.0_beta1", "1.0_pre3", "1.0_rc1-r0", "1.0_rc1-r1", "1.0_rc2-r0", "1.0",
    "1.0-r0", "1.0-r2", "1.0-r10", "1.0_git20240101-r0", "1.0_p1-r0", "1.0_p1-r1", "1.0_p2", "1.0a", "1.0b", "1.0.1-r0",
    "1.01", "1.1", "1.2", "1.10", "1.10.0", "2.38", "2.38.1", "3.0.12", "20240226-r0",
]  # fmt: skip


def test_versions_have_one_order() -> None:
    for older, newer in combinations(SORTED, 2):
        assert is_older(older, newer) and not is_older(newer, older), (older, newer)


@pytest.mark.parametrize(("one", "other"), [("1.2", "1.2"), ("x", "1.0"), ("1.0", "x"), ("1", "1")])
def test_equal_ones_and_what_is_no_version(one: str, other: str) -> None:
    assert not is_older(one, other)


texts = st.from_regex(
    r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}[a-z]?(_(alpha|rc|p|git)[0-9]{0,2}){0,2}(-r[0-9]{1,2})?", fullmatch=True
)


@given(texts, texts, texts)
def test_it_is_an_order(one: str, two: str, three: str) -> None:
    assert not is_older(one, one) and not (is_older(one, two) and is_older(two, one))
    if is_older(one, two) and is_older(two, three):
        assert is_older(one, three)
