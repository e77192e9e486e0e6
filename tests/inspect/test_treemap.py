"""Boxes whose areas are sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.treemap import boxes, figure, squarify


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_areas_are_in_proportion_and_fill_the_box(sizes):
    items = [(str(number), size) for number, size in enumerate(sorted(sizes, reverse=True))]
    found = list(squarify(items, 0, 0, 100, 50))
    assert [(box.name, box.size) for box in found] == items
    for box in found:
        assert box.width * box.height == pytest.approx(5000 * box.size / sum(sizes))
        assert -1e-6 <= box.x <= box.x + box.width <= 100 + 1e-6 and -1e-6 <= box.y <= box.y + box.height <= 50 + 1e-6


def test_names_in_a_page_are_escaped():
    groups = [("<u id=y>", [("<i id=x>", 5)])]
    text = figure(groups)
    assert "<i id" not in text and "<u id" not in text and len(list(boxes(groups))) == 1
