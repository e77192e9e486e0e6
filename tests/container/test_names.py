"""Texts of a spec that become paths or identities."""

import posixpath
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container import names


def takes(kind, text):
    return get_args(kind)[1].matches(text)


TABLE = [
    (names.ContainerName, ["a", "web-1", "a.b", "...", "-"], ["", ".", "..", "a/b", "a b", "é", "x" * 201, "a\n"]),
    (names.Namespace, ["", "moby", "a-b.c_d"], ["-a", "a..b", "a-", "x" * 77, "a/b"]),
    (names.AbsolutePath, ["/", "/a b"], ["", "a", "/a\0b"]),
    (names.ImagePath, ["a", "/a/b", "a..b", "..."], ["", "/", "..", "a/..", "../a", "a/../b", "a\0"]),
    (names.VolumeName, ["a_b-1"], ["", "A", "a.b", "a/b"]),
    (names.Octal, ["0644", "7", "4755"], ["", "8", "0o644", "77777", "-1"]),
    (names.Reference, ["alpine:3.20"], ["", "a b", "a\n"]),
]


@pytest.mark.parametrize("kind, good, bad", TABLE)
def test_a_name_is_taken_or_refused_as_a_whole(kind, good, bad):
    assert all(takes(kind, text) for text in good)
    assert not any(takes(kind, text) for text in bad)


@given(st.text(st.sampled_from("./ab\n"), max_size=8))
def test_a_path_that_is_taken_stays_in_its_root(text):
    if takes(names.ImagePath, text):
        inside = posixpath.normpath(posixpath.join("/root", names.relative(text)))
        assert f"{inside}/".startswith("/root/") and names.relative(names.relative(text)) == names.relative(text)


def test_numbers_start_at_100_and_the_later_of_two_wins():
    assert names.ids(["a", "b", "a"]) == {"a": 102, "b": 101}


def test_namespaces_are_words_or_paths():
    values = {"net": "none", "pid": "host", "ipc": "/run/x", "uts": "none", "user": "hots", "mnt": None}
    wrong = {path[-1]: hint for path, _, hint in names.namespace_violations(values)}
    assert wrong.keys() == {"uts", "user"} and "'host'" in wrong["user"]


def test_a_reference_that_cannot_be_one_says_why():
    assert names.reference_problem("alpine:3.20") == "" == names.reference_problem("@pkg:images/x")
    assert names.reference_problem("UPPER CASE")
