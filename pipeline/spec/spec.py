"""Spec: the checked values of a spec's sections, and the place of each in its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.language.problem import KeyPath, Place, Problem
from pipeline.spec.build import BuildOptions


@dataclass(frozen=True, eq=False, repr=False)
class Spec:
    """A spec. `spec["services"]` is the value of the key (pipeline.sections), or the empty one."""

    name: str
    path: Path
    sections: Mapping[str, Any]
    """Key -> value, for every section, in the order of the root file system."""
    places: Mapping[KeyPath, Place]
    warnings: tuple[Problem, ...] = ()
    """Warnings that need no image."""
    files: tuple[Path, ...] = ()
    """All its YAML files."""

    def __getitem__(self, section: str) -> Any:
        return self.sections[section]

    @property
    def build(self) -> BuildOptions:
        """nodekiln's own options; formats and arch are filled in."""
        value: BuildOptions = self.sections["build"]
        return value

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the spec start from."""
        return self.path.parent

    def where(self, path: KeyPath) -> Place:
        """The place of the value at `path`, or of the nearest value that contains it."""
        return _nearest(self.places, path, str(self.path))

    def below(self, *start: str | int) -> Callable[[KeyPath], str]:
        """`where`, for paths that start at `start`."""
        return lambda path: str(self.where((*start, *path)))


def _nearest(places: Mapping[KeyPath, Place], path: KeyPath, file: str) -> Place:
    for end in range(len(path), -1, -1):
        if (place := places.get(path[:end])) is not None:
            return place
    return Place(file, 1, 1)
