"""The manual as a site: mkdocs makes it without a warning, and its table of contents is the manual's first page."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT

SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0 and "WARNING" not in ended.stderr, ended.stderr
    return folder


def test_a_link_out_of_the_manual_leads_to_a_page_of_the_site(site: Path) -> None:
    page = (site / "how-to/login.html").read_text()
    assert 'href="../repository/images/metadata/index.html"' in page
    assert "providers" in (site / "repository/images/metadata/index.html").read_text()


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=.?(?:https?:)?//[^>]*>")
    assert [found for page in site.rglob("*.html") for found in loaded.findall(page.read_text())] == []


def test_the_first_page_lists_the_pages_of_the_navigation() -> None:
    sections = (page for entry in SETTINGS["nav"] for page in entry.values() if isinstance(page, list))
    pages = [
        path.replace("repository/", "../", 1) for section in sections for page in section for path in page.values()
    ]
    links = re.findall(r"\]\(([^)]+\.md)\)", (ROOT / "docs/README.md").read_text())
    assert [posixpath.normpath(link) for link in links] == pages
