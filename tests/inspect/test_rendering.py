"""A comparison for people and for programs."""

import json

import pytest

from pipeline.inspect import rendering
from pipeline.inspect.comparison import Change, Comparison

NONE = Comparison("a", "b", {"files": ()})
SOME = Comparison("a", "b", {"files": (Change("etc/x <y>", "1|2", "3\x1b[2J"),) * 100})


@pytest.mark.parametrize("render", [rendering.text, rendering.markdown, rendering.page, rendering.document])
def test_nothing_of_a_name_is_obeyed(render):
    assert "\x1b" not in render(SOME) and "equal" in render(NONE).lower()


def test_only_so_many_rows_are_shown_and_all_are_in_the_json():
    assert rendering.text(SOME).count("etc/x") == rendering.LONGEST
    assert str(100 - rendering.LONGEST) in rendering.text(SOME)
    assert len(json.loads(rendering.document(SOME))["topics"]["files"]) == 100


def test_a_table_s_cell_holds_no_column():
    row = next(line for line in rendering.markdown(SOME).splitlines() if "etc/x" in line)
    assert row.replace("\\|", "").count("|") == 4
    assert "<y>" not in rendering.page(SOME)


def test_a_comment_is_short_enough():
    long = Comparison("a", "b", {"files": tuple(Change("x" * 3000, "1", "2") for _ in range(60))})
    assert len(rendering.markdown(long).encode()) <= rendering.COMMENT
