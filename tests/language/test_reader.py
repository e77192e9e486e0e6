"""The reader goes on after a problem, so that one run finds them all."""

import pytest

from pipeline.language import document
from pipeline.language.kinds import Integer, ListOf, MapOf, String
from pipeline.language.problem import Problems
from pipeline.language.reader import Reader, describe
from tests.language.values import read


def test_every_problem_of_a_list_is_found():
    _, problems = read(ListOf(Integer()), "[1, x, 2, y]")
    assert [(problem.place.column, problem.message[:3]) for problem in problems] == [(5, "[1]"), (11, "[3]")]


def test_every_value_has_its_place():
    reader = Reader()
    node = document.parse(b"a: 1\nb: 2\n", "a.yml")
    reader.read(MapOf(Integer()), node, ())
    assert reader.places[("b",)].line == 2


def test_keys_are_strings_and_stand_once():
    _, problems = read(MapOf(String()), "a: x\na: y\n1: z\n")
    assert [problem.place.line for problem in problems] == [2, 3]
    assert "duplicate key 'a'" in problems[0].message and 'write "1"' in problems[1].hint


def test_an_attempt_records_nothing():
    reader = Reader()
    value, problems = reader.attempt(Integer(), document.parse(b"x", "a.yml"), ())
    assert value is None and len(problems) == 1 and reader.problems == []


def test_aliases_that_expand_to_too_much_are_refused(monkeypatch):
    monkeypatch.setattr("pipeline.language.reader.MAX_NODES", 50)
    text = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n"
    with pytest.raises(Problems, match="aliases expand this to more than 50 values"):
        read(MapOf(ListOf(ListOf(ListOf(String())))), text.replace("a: &a", "z: [[]]\na: &a"))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x", "the string 'x'"),
        ("7", "the number 7"),
        ("true", "the boolean true"),
        ("[]", "a list"),
        ("{}", "a mapping"),
    ],
)
def test_a_node_in_words(text, expected):
    assert describe(document.parse(text.encode(), "a.yml")) == expected
