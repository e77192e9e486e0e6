"""Copies a recipe into a project, where it is changed and wins over nodekiln's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.host import atomic
from pipeline.recipe.recipe import FILE, Recipe

SKIPPED = "__pycache__"
"""Folder that belongs to no recipe."""


def copy(recipe: Recipe, place: Path) -> list[str]:
    """Copies the folder of `recipe` to `place`, whole or not at all; returns the paths of its files there.

    Files of other recipes that it names (`../init/lua/json.lua`) come along (as `init/lua/json.lua`), so that the copy
    needs no other folder. FileExistsError, SymlinkOnPath.
    """
    atomic.make_folder(place.parent.parent, place.parent.name)
    if place.exists() or place.is_symlink():
        raise FileExistsError(place)
    partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=atomic.SUFFIX, dir=place.parent))
    try:
        for path, data, executable in _files(recipe):
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            atomic.write(partial / path, data)
            if executable:
                _make_executable(partial / path)
        partial.chmod(place.parent.stat().st_mode & 0o777)
        os.rename(partial, place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def _files(recipe: Recipe) -> Iterator[tuple[str, bytes, bool]]:
    """Yields path, content and whether it is executable, of each file of the copy."""
    moved = {source: _inside(source) for source in recipe.sources if _inside(source) != source}
    for path in sorted(recipe.folder.rglob("*")):
        if not path.is_file() or SKIPPED in path.parts:
            continue
        data = path.read_bytes()
        if path == recipe.folder / FILE:
            for source, name in moved.items():
                data = data.replace(f"source: {source}".encode(), f"source: {name}".encode())
        yield str(path.relative_to(recipe.folder)), data, bool(path.stat().st_mode & 0o100)
    for source, name in moved.items():
        yield name, recipe.sources[source], bool((recipe.folder / source).stat().st_mode & 0o100)


def _inside(source: str) -> str:
    """Returns the path of a recipe's own file in the copy."""
    return source.removeprefix("../")


def _make_executable(path: Path) -> None:
    """Adds execute permission for whoever may read."""
    mode = path.stat().st_mode & 0o777
    path.chmod(mode | (mode & 0o444) >> 2)
