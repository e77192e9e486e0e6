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
