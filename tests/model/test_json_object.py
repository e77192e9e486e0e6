"""Objects of JSON with unique keys."""

from __future__ import annotations

import json

import pytest

from pipeline.model import json_object


def test_an_object_is_as_it_is_written() -> None:
    assert json.loads('{"b": 1, "a": {"b": 2}}', object_pairs_hook=json_object.unique) == {"b": 1, "a": {"b": 2}}


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"x": {"a": 1, "b": 2, "a": 3}}', '[{"": 0, "": 1}]'])
def test_a_key_that_comes_twice_is_refused_at_every_depth(text: str) -> None:
    with pytest.raises(ValueError, match="a key comes twice"):
        json.loads(text, object_pairs_hook=json_object.unique)


@pytest.mark.parametrize(("text", "depth"), [
    ("[" * 8 + "]" * 8, 8), ('{"a":' * 7 + "[]" + "}" * 7, 8), ('[1, {"a": [[]]}, []]', 4), ("1", 1),
])  # fmt: skip
def test_a_value_is_nested_as_deep_as_the_limit_and_no_deeper(text: str, depth: int) -> None:
    json_object.check_depth(json.loads(text), depth)
    if depth > 1:
        with pytest.raises(ValueError, match=f"nested more than {depth - 1} deep"):
            json_object.check_depth(json.loads(text), depth - 1)
