"""Linters are tests: what CI holds against a change is what `./kiln test` shows."""

import ast
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


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_the_map_of_a_package_lists_its_modules(path):
    """A docstring that lists the modules of its package lists all of them, and no others."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    modules = {each.stem for each in path.parent.glob("*.py")} - {"__init__"}
    listed = set(re.findall(r"(?:^|\s{2})([a-z0-9_]+)\s{2,}\S", text, re.MULTILINE))
    if len(listed & modules) * 2 > len(modules):
        assert listed & modules == modules and listed <= modules


def test_no_module_lies_beside_the_layers():
    assert [path.name for path in (ROOT / "pipeline").glob("*.py")] == ["__init__.py"]


MOST_FIELDS = 8
"""Values that a call may pack by their position alone."""


def _values(call):
    """The values that a call of a function of the module struct, or of a Struct, takes or describes by position."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("pack", "pack_into", "unpack", "unpack_from", "iter_unpack", "Struct"):
        return 0
    layout = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
    described = len(re.findall(r"\d*s|\d*[a-wyzA-Z?]", layout)) if isinstance(layout, str) else 0
    return max(described, len(call.args) if name.startswith("pack") else 0)


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").rglob("*.py")), ids=lambda path: path.name)
def test_large_structures_have_named_fields(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [f"line {call.lineno}" for call in calls if _values(call) > MOST_FIELDS]
