"""Kinds: each reads its values, and names what it expects for all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.kinds import Boolean, Choice, Integer, Pattern, String
from tests.language.values import read

TABLE = [
    (String(), "text", "text", ["7", "[a]", "true", "null"]),
    (String(Pattern("[a-c]+", "letters")), "abc", "abc", ["abd", "''", '"a\\n"']),
    (Integer(), "7", 7, ["'7'", "1.5", "x", "7:7", "{a: 1}"]),
    (Integer(1, 9), "9", 9, ["0", "10", "-1"]),
    (Boolean(), "true", True, ["yes", "1", "'true'", "null"]),
    (Choice(("one", "two")), "two", "two", ["three", "1", "[one]"]),
]


@pytest.mark.parametrize("kind, text, value, wrong", TABLE)
def test_a_kind_takes_its_values_and_names_itself_otherwise(kind, text, value, wrong):
    assert read(kind, text) == (value, [])
    for other in wrong:
        _, (problem,) = read(kind, other)
        assert kind.expected in problem.message and (problem.place.line, problem.place.column) == (1, 1)


@given(st.integers(-20, 20))
def test_a_range_and_its_json_schema_take_the_same_numbers(number):
    schema = Integer(-3, 7).json(dict)
    assert (not read(Integer(-3, 7), str(number))[1]) == (schema["minimum"] <= number <= schema["maximum"])


@pytest.mark.parametrize(
    "kind, text, hint", [(Boolean(), "yes", "write true"), (Integer(), "'7'", "without quotes: 7")]
)
def test_a_usual_mistake_has_a_hint(kind, text, hint):
    assert hint in read(kind, text)[1][0].hint
