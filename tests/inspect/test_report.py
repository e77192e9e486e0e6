"""A report as text, Markdown, HTML and JSON."""

import json

import pytest

from pipeline.inspect import report
from pipeline.inspect.report import FORMS, Report, Table

EVIL = ("etc/x <y>", "1|2", "3\x1b[2J")
TABLE = Table("files", ("path", "before", "after"), [EVIL] * 100)
WHOLE = Report("a and b", [TABLE], {"files": [list(EVIL)] * 100})


@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_a_value_is_obeyed(form):
    shown = FORMS[form](WHOLE)
    assert "\x1b" not in shown and (form != "html" or "<y>" not in shown)


def test_people_are_shown_the_first_rows_and_programs_all():
    shown = FORMS["text"](WHOLE)
    assert shown.count("etc/x") == report.LONGEST and f"… and {100 - report.LONGEST} more" in shown
    assert len(json.loads(FORMS["json"](WHOLE))["files"]) == 100


def test_a_cell_ends_no_column():
    row = next(line for line in FORMS["markdown"](WHOLE).splitlines() if "etc/x" in line)
    assert row.replace("\\|", "").count("|") == 4


def test_a_comment_is_short_enough():
    long = Report("x", [TABLE._replace(rows=[("x" * 3000, "1", "2")] * 60)], {})
    assert len(FORMS["markdown"](long).encode()) <= report.COMMENT


def test_numbers_are_right_aligned():
    assert report.aligned([("a", 1000), ("bb", 7)], ("name", "bytes")) == ["name  bytes", "a     1,000", "bb        7"]
