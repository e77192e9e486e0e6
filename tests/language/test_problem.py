"""Errors and warnings with their places."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.problem import (
    Place,
    Problem,
    Problems,
    StageProblem,
    StageProblems,
    collect_warnings,
    dotted,
    suggestion,
    warn,
)


def test_problems_are_sorted_and_each_is_said_once():
    late, early = Problem(Place("a", 2, 1), "late"), Problem(Place("a", 1, 9), "early", "write this")
    assert str(Problems([late, early, late])) == "a:1:9: early (write this)\na:2:1: late"


def test_an_excerpt_has_a_caret_under_the_place(tmp_path):
    (tmp_path / "a.yml").write_text("one: 1\n\ttwo: 2\n")
    shown = Problems([Problem(Place(str(tmp_path / "a.yml"), 2, 2), "wrong")]).shown()
    assert shown.endswith("wrong\n     two: 2\n     ^")
    assert "^" not in Problems([Problem(Place("missing", 1, 1), "wrong")]).shown()


@pytest.mark.parametrize("path, text", [((), ""), (("a",), "a"), (("a", 2, "b"), "a[2].b"), ((0,), "[0]")])
def test_a_path_is_written_with_dots_and_brackets(path, text):
    assert dotted(path) == text


def test_several_problems_of_a_stage_are_one_error():
    both = [StageProblem(("a",), "one"), StageProblem(("b",), "two", "hint")]
    assert StageProblems(both).problems == tuple(both) and str(StageProblems(both)) == "one; two (hint)"
    assert both[0].problems == (both[0],)


def test_warnings_are_those_of_the_thread_that_collects():
    with collect_warnings() as warnings:
        other = threading.Thread(target=warn, args=((), "elsewhere"))
        other.start()
        other.join()
        warn(("a",), "here")
    warn((), "afterwards")
    assert [each.message for each in warnings] == ["here"]


@pytest.mark.parametrize(
    "word, known, expected",
    [
        ("x86_64", ["amd64", "arm64"], "did you mean 'amd64'?"),
        ("RAW", ["raw", "tar"], "did you mean 'raw'?"),
        ("raw", ["raw-bios", "raw-efi"], "did you mean 'raw-bios' or 'raw-efi'?"),
        ("imaeg", ["image", "name"], "did you mean 'image'?"),
        ("zzz", ["image"], ""),
        ("", ["image"], ""),
    ],
)
def test_what_was_meant_is_suggested(word, known, expected):
    assert suggestion(word, known) == expected


@given(st.text(max_size=8), st.lists(st.text(min_size=1, max_size=8)))
def test_a_suggestion_names_what_is_known(word, known):
    hint = suggestion(word, known)
    assert not hint or any(repr(name) in hint for name in known)
