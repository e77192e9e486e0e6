"""The tables in README.md, docs/reference/disks.md and docs/reference/packages.md are those that the program makes."""

import pytest

from pipeline import formats
from pipeline.planning import describe
from tests.project import ROOT

TABLES = [(describe.README, describe.readme), (describe.DISKS, describe.disks), (describe.PACKAGES, describe.packages)]
WRITES = "python -m pipeline.planning.describe writes it"


@pytest.mark.parametrize(("path", "table"), TABLES, ids=lambda value: getattr(value, "name", ""))
def test_a_table_of_formats_is_up_to_date(path, table):
    text = (ROOT / path).read_text("utf-8")
    assert table(text) == text, WRITES


@pytest.mark.parametrize(("path", "table"), TABLES, ids=lambda value: getattr(value, "name", ""))
def test_a_row_that_is_gone_comes_back(path, table):
    text = (ROOT / path).read_text("utf-8")
    rows = ("| raw-efi |", "| UEFI (amd64", "| `snapshot`")
    assert table("".join(line for line in text.splitlines(True) if not line.startswith(rows))) == text


def test_the_manual_has_every_format():
    text = (ROOT / describe.README).read_text("utf-8")
    assert all(name in text for name in formats.names())
