"""Linters are tests: what CI holds against a change is what `./kiln test` shows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "words",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["importlinter.cli", "lint"]],
    ids=["ruff", "ruff-format", "mypy", "import-linter"],
)
def test_linter(words):
    run = [sys.executable, "-m", *words]
    if words[0].startswith("importlinter"):
        run = [str(Path(sys.executable).parent / "lint-imports")]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_map_lists_the_layers_of_the_contract():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [name.strip() for row in reversed(contract["layers"]) for name in row.split("|")]
    assert re.findall(r"^    (\w+) +\S", pipeline.__doc__, re.MULTILINE) == layers
    assert sorted(layers) == sorted(path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py"))


def test_no_module_lies_beside_the_layers():
    assert [path.name for path in (ROOT / "pipeline").glob("*.py")] == ["__init__.py"]
