"""Limits of what outputs and components take."""

from pathlib import Path

import pytest

from pipeline.model.errors import BadInput
from pipeline.planning.plan import plan
from pipeline.project import budget
from pipeline.project.budget import OverBudget
from pipeline.project.project import Project
from tests.project import EMPTY_LOCK, new_project


@pytest.fixture
def check(tmp_path, monkeypatch):
    def check(limits, before=None):
        files = f"files: [{{path: etc/a, contents: {'x' * 3000}}}]\n"
        text = f"{files}build: {{formats: [tar], arch: amd64, budget: {limits}}}\n"
        root = new_project(tmp_path / str(abs(hash(limits))), node=text)
        (root / "specs/node.lock").write_text(EMPTY_LOCK)
        monkeypatch.chdir(root)
        project = Project(Path())
        planned = plan(project.load("node"), project.lock("node"), "amd64")
        budget.check(project.store, planned, "tar", planned.format("tar"), before)

    return check


@pytest.mark.parametrize("limits", ["{total: 1M}", "{tar: 100K, files: '3000'}", "{raw-bios: 1K}"])
def test_what_is_within_its_limits_passes(check, limits):
    check(limits)


@pytest.mark.parametrize("limits, words", [("{total: 2K}", "total has"), ("{files: '2999'}", "files has 2.93 KiB")])
def test_more_is_an_error_at_its_line_that_names_the_largest(check, limits, words):
    with pytest.raises(OverBudget, match=r"specs/node\.yml:2:") as caught:
        check(limits)
    assert words in str(caught.value)


def test_a_key_that_is_nothing_is_refused(check):
    with pytest.raises(BadInput, match="did you mean 'files'"):
        check("{fiels: 1M}")
