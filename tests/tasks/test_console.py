"""The command nodekiln: doit with nodekiln's loader, wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

MAIN = "import sys; from pipeline.tasks.console import main; sys.argv[0] = 'nodekiln'; sys.exit(main())"


def nodekiln(*words: str, code: int = 0) -> str:
    """Runs nodekiln in the working folder, which must end with `code`, and returns what it prints."""
    command, environment = [sys.executable, "-c", MAIN, *words], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_folder_needs_no_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nodekiln("build", code=3) == "no specs/NAME.yml here: `nodekiln init` makes a project\n"
    assert os.listdir() == []
    Path("specs").mkdir()
    Path("specs/x.yml").write_text("files: [{path: a, contents: b}]\nbuild: {formats: [tar]}\n")
    assert "ran" in nodekiln("build:x") and Path("build/x/x.tar").exists()
    assert nodekiln("list").startswith("build ")
    assert "`nodekiln compare A B`" in nodekiln("compare", "a", "b", "c", code=3)


def test_settings_of_doit_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("[tool.doit]\nverbosity = 1\n[tool.doit.tasks.formats]\nhelp = true\n")
    assert nodekiln("formats").startswith("formats  the formats for build.formats")
    Path("pyproject.toml").write_text("[tool.doit\n")
    assert nodekiln("list", code=3).startswith("pyproject.toml: Expected ']'")
