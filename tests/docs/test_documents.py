"""Documents that list what is elsewhere, held against it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline import formats
from tests import manual
from tests.project import ROOT, new_project, run_doit

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "images").rglob("*.md")]

README_LINES = 95
"""Maximum length of README.md, in lines: the manual has the rest."""


def test_the_index_of_decisions_has_each_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    titles = {path.name: path.read_text().partition("\n")[0].removeprefix("# ") for path in folder.glob("0*.md")}
    lines = [f"- [{name[:4]}]({name}) {title}" for name, title in sorted(titles.items())]
    assert [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("- ")] == lines


def test_a_term_stands_once_in_the_glossary() -> None:
    text = (ROOT / "docs/reference/glossary.md").read_text()
    terms = Counter(re.findall(r"^\| ([^|]+?) +\|", text, re.MULTILINE))
    assert len(terms) > 60
    assert [term for term, count in terms.items() if count > 1 and term != "term"] == []


def test_links_lead_to_files() -> None:
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.parametrize("path", manual.PAGES, ids=str)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert manual.PAGES[path](text) == text, manual.WRITES


def test_readme_is_short_and_right_about_formats_and_errors(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    assert f"[{len(formats.names())} formats]" in text
    root = new_project(tmp_path / "project", bad="services:\n  - {name: sshd, imaeg: x}\nbuild: {formats: [tar]}\n")
    (shown,) = re.findall(r"^    specs/bad\.yml:\d+:\d+(: .+)$", text, re.MULTILINE)
    assert shown in run_doit("check:bad", cwd=root).stderr
