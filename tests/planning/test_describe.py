"""The tables in docs/reference/formats.md and packages.md are those that the program makes."""

import pytest

from pipeline import formats
from pipeline.planning import describe
from tests.project import ROOT


@pytest.mark.parametrize("path", [describe.FORMATS, describe.PACKAGES], ids=str)
def test_a_row_that_is_gone_comes_back(path):
    text = (ROOT / path).read_text("utf-8")
    without = "".join(line for line in text.splitlines(True) if not line.startswith(("| raw-efi |", "| `snapshot`")))
    assert without != text and describe.PAGES[path](without) == text


def test_the_page_of_recipes_explains_every_key_and_leads_to_those_of_containers():
    text = describe.recipe_manual()
    assert "| `keep` |" in text and "## OwnFile" in text and "(spec.md#container)" in text


def test_the_table_has_every_format():
    text = (ROOT / describe.FORMATS).read_text("utf-8")
    assert all(f"| {name} |" in text for name in formats.names())
