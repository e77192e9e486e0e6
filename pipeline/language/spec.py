"""Spec: what one or several YAML files say about a node, checked.

    specs/NAME.yml          the spec
    build.append            files that it names are appended to it, in that order
    specs/NAME.d/*.yml      files that are appended after that, by name

Appending, as `linuxkit build a.yml b.yml` does it: lists of a section one after another; of a mapping such as
`kernel:`, the later value.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import outside, sections, seen
from pipeline.language import document
from pipeline.language.document import Node
from pipeline.language.kinds import ListOf
from pipeline.language.problem import KeyPath, Place, Problem, Problems, guess
from pipeline.language.schema import Reader, Wrong, checked, kind
from pipeline.sections import build


@dataclass(frozen=True, eq=False, repr=False)
class Spec:
    """A spec. `spec["services"]` is what stands under the key (pipeline.sections), or the empty value."""

    name: str
    path: Path
    sections: Mapping[str, Any]
    """Key -> value, for every section, in the order of the root file system."""
    places: Mapping[KeyPath, Place]
    warned: tuple[Problem, ...] = ()
    """What is hardly meant, as far as it can be told without images."""
    files: tuple[Path, ...] = ()
    """Every YAML file that it was read from."""

    def __getitem__(self, section: str) -> Any:
        return self.sections[section]

    @property
    def build(self) -> build.Settled:
        """nodekiln's own options; formats and arch are filled in."""
        value: build.Settled = self.sections["build"]
        return value

    @property
    def folder(self) -> Path:
        """Where relative paths of the spec start."""
        return self.path.parent

    def where(self, path: KeyPath) -> Place:
        """Where the value at `path` stands, or the nearest that holds it."""
        return _nearest(self.places, path, str(self.path))

    def below(self, *start: str | int) -> Callable[[KeyPath], str]:
        """`where`, for paths that start at `start`."""
        return lambda path: str(self.where((*start, *path)))


def load(path: Path) -> Spec:
    """The spec in the file `path` and those that belong to it. Raises Problems: everything that is wrong in them."""
    nodes, files = _nodes(path)
    if len(nodes) > 1:  # each by itself first, so that only documents of the right shape are merged
        _refuse([problem for node in nodes for problem in _read(node)[1].problems])
    found, reader = _read(functools.reduce(document.merged, nodes))
    _refuse(reader.problems)
    return _checked(Spec(path.stem, path, found, reader.places, files=tuple(files)))


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise Problems(problems)


def _nodes(path: Path) -> tuple[list[Node], list[Path]]:
    """The documents of the spec, in their order, and their files."""
    problems: list[Problem] = []
    nodes = []
    first = _parse(path, problems, path.parent)
    appended = _appended(first, path, problems) if first else []
    folder = path.with_suffix(".d")
    files = [path, *appended, *(folder / name for name in seen.listing(folder, ".yml"))]
    for number, file in enumerate(files):
        node = _parse(file, problems, path.parent) if number else first
        if node:
            nodes.append(node)
    _refuse(problems)
    if not nodes:
        raise document.problem_at(str(path), 1, 1, "the file says nothing", "at least a kernel, an init or a file")
    return nodes, files


def _parse(path: Path, problems: list[Problem], home: Path) -> Node | None:
    """The document in `path`, a file of the project or below the spec's folder `home`; None if it cannot be had."""
    try:
        if outside.leads(path, home):
            raise document.problem_at(str(path), 1, 1, "leads outside the project", outside.ALLOWED)
        return document.parse(seen.contents(path), str(path))
    except Problems as found:
        problems += found.problems
    except OSError as error:
        problems.append(Problem(Place(str(path), 1, 1), f"cannot be read: {error.strerror}"))
    return None


def _appended(node: Node, path: Path, problems: list[Problem]) -> list[Path]:
    """The files that `build.append` names. What is wrong with it otherwise shows when it is read."""
    asked = _under(_under(node, "build"), "append")
    found = []
    for item in asked.items if isinstance(asked, document.Sequence) else ():
        if not isinstance(item, document.Scalar):
            continue
        file = path.parent / item.text
        if seen.is_file(file) and outside.leads(file, path.parent):
            problems.append(Problem(item.place, f"{item.text!r} lies outside the project", outside.ALLOWED))
        elif seen.is_file(file):
            found.append(file)
        else:
            problems.append(
                Problem(item.place, f"there is no file {item.text!r} to append", f"looked in {path.parent}")
            )
    return found


def _under(node: Node | None, key: str) -> Node | None:
    """The value of a mapping's key, if there is one."""
    for name, item in node.pairs if isinstance(node, document.Mapping) else ():
        if isinstance(name, document.Scalar) and name.text == key:
            return item
    return None


def _read(node: Node) -> tuple[dict[str, Any], Reader]:
    """Every section's value, and the reader that knows what is wrong and where everything stands."""
    reader, known = Reader(), sections.modules()
    values = {name: () if isinstance(kind(module.Value), ListOf) else module.Value() for name, module in known.items()}
    with contextlib.suppress(Wrong):
        for name, place, item in reader.pairs(node, ()):
            if name not in known:
                reader.wrong(place, (), f"unknown key {name!r}", guess(name, list(known)))
                continue
            with contextlib.suppress(Wrong):
                values[name] = reader.read(kind(known[name].Value), item, (name,))
    return values, reader


def _checked(spec: Spec) -> Spec:
    """`spec` after what only the whole of it can tell."""
    problems, warned = [], []
    for name, module in sections.modules().items():
        value = spec[name]
        found = [*checked(value), *(module.problems(value, spec) if hasattr(module, "problems") else ())]
        problems += [Problem(spec.where((name, *path)), message, hint) for path, message, hint in found]
        found = list(module.warnings(value, spec)) if hasattr(module, "warnings") else []
        warned += [Problem(spec.where((name, *path)), message, hint) for path, message, hint in found]
    _refuse(problems)
    settled = {**spec.sections, "build": build.settled(spec["build"])}
    return replace(spec, sections=settled, warned=tuple(warned))


def _nearest(places: Mapping[KeyPath, Place], path: KeyPath, file: str) -> Place:
    for end in range(len(path), -1, -1):
        if (place := places.get(path[:end])) is not None:
            return place
    return Place(file, 1, 1)
