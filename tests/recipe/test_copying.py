"""Copies of recipes: whole, of their own, and the same image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.host import atomic
from pipeline.recipe.copying import copy
from pipeline.recipe.recipe import Recipe, load

TEXT = """\
# a comment that stays
image: a
files:
  - {path: one, source: one}
  - {path: two, source: ../b/lib/two.lua}
  - {path: three, contents: "source: ../b\\n"}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe with a file of another, outside the working folder's project."""
    folder = tmp_path / "own/images/a"
    for path, text in {"build.yml": TEXT, "one": "1", "tests/t": "t", "../b/lib/two.lua": "2"}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x").touch()
    (folder / "one").chmod(0o555)  # as a package manager may leave it
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return load(folder)


def test_a_copy_needs_no_other_folder(recipe: Recipe) -> None:
    assert copy(recipe, Path("images/a")) == ["b/lib/two.lua", "build.yml", "one", "tests/t"]
    copied = load(Path("images/a"))
    assert copied.sources == {"one": b"1", "b/lib/two.lua": b"2"}
    assert Path("images/a/build.yml").read_text() == TEXT.replace("source: ../b/lib", "source: b/lib")
    assert os.access("images/a/one", os.X_OK) and not os.access("images/a/build.yml", os.X_OK)
    assert Path("images/a/one").stat().st_mode & 0o200


def test_what_is_there_stays(recipe: Recipe) -> None:
    Path("images/a").mkdir(parents=True)
    with pytest.raises(FileExistsError):
        copy(recipe, Path("images/a"))
    assert [*Path("images").rglob("*")] == [Path("images/a")]
    Path("images/a").rmdir()
    Path("images").rmdir()
    Path("images").symlink_to("..")
    with pytest.raises(atomic.SymlinkOnPath):
        copy(recipe, Path("images/a"))
