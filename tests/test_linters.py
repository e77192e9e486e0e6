"""Linters are tests: what CI holds against a change is what `./kiln test` shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "words",
    [["ruff", "check", "."], ["mypy"], ["importlinter.cli", "lint"]],
    ids=["ruff", "mypy", "import-linter"],
)
def test_linter(words):
    run = [sys.executable, "-m", *words]
    if words[0].startswith("importlinter"):
        run = [str(Path(sys.executable).parent / "lint-imports")]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_on_the_map():
    found = {path.stem for path in (ROOT / "pipeline").iterdir() if not path.name.startswith("_")}
    assert found <= set(re.findall(r"\w+", pipeline.__doc__))
