"""Debian versions: dpkg says which of two comes first."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.packages.version import is_older
from tests import judges

PART = st.text("0129az.+~A", min_size=1, max_size=8)
VERSIONS = st.tuples(st.sampled_from(["", "0:", "1:", "10:"]), PART, st.sampled_from(["", "-"]), PART).map(
    lambda parts: f"{parts[0]}0{parts[1]}" + (parts[2] + parts[3] if parts[2] else "")
)


def dpkg(one: str, relation: str, other: str) -> bool:
    program = judges.need("dpkg")
    return subprocess.run([program, "--compare-versions", one, relation, other], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("older", "newer"),
    [("3.0.20-1~deb12u2", "3.0.22-1~deb12u2"), ("9:1", "10:0"), ("1.0~rc1", "1.0"), ("1.0", "1.0+b1"), ("1-9", "1-10"),
     ("1.a", "1.+"), ("0", "0-1"), ("6.1.176-1", "6.1.192-1"), ("1:9.2p1-2+deb12u7", "1:9.2p1-2+deb12u10")],
)  # fmt: skip
def test_known(older: str, newer: str) -> None:
    assert is_older(older, newer) and not is_older(newer, older)


@settings(max_examples=200, deadline=None)
@given(one=VERSIONS, other=VERSIONS)
def test_as_dpkg_has_it(one: str, other: str) -> None:
    assert is_older(one, other) == dpkg(one, "lt", other)
    assert not is_older(one, one)
