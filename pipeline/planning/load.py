"""Load: reads and checks the YAML files of a spec.

    specs/NAME.yml          the spec
    build.append            files that it names are appended to it, in that order
    specs/NAME.d/*.yml      files that are appended after that, by name

Appending, as `linuxkit build a.yml b.yml` does it: lists of a section one after another; of a mapping such as
`kernel:`, the later value.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import sections
from pipeline.host import containment, tracked
from pipeline.language import document
from pipeline.language.document import Node
from pipeline.language.problem import Place, Problem, Problems, suggestion
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import violations
from pipeline.spec.build import filled_in
from pipeline.spec.spec import Spec


def load(path: Path) -> Spec:
    """Reads the spec in the file `path` and its appended files. Raises Problems with everything that is wrong."""
    nodes, files = _nodes(path)
    if len(nodes) > 1:  # each by itself first, so that only documents of the right shape are merged
        _refuse([problem for node in nodes for problem in _read(node)[1].problems])
    values, reader = _read(functools.reduce(document.merge, nodes))
    _refuse(reader.problems)
    return _checked(Spec(path.stem, path, values, reader.places, files=tuple(files)))


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
    files = [path, *appended, *(folder / name for name in tracked.listing(folder, ".yml"))]
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
        if containment.escapes(path, home):
            raise document.problem_at(str(path), 1, 1, "leads outside the project", containment.ALLOWED)
        return document.parse(tracked.contents(path), str(path))
    except Problems as found:
        problems += found.problems
    except OSError as error:
        problems.append(Problem(Place(str(path), 1, 1), f"cannot be read: {error.strerror}"))
    return None


def _appended(node: Node, path: Path, problems: list[Problem]) -> list[Path]:
    """The files that `build.append` names. Other faults of its value are found when it is read."""
    names = _under(_under(node, "build"), "append")
    files = []
    for item in names.items if isinstance(names, document.Sequence) else ():
        if not isinstance(item, document.Scalar):
            continue
        file = path.parent / item.text
        if tracked.is_file(file) and containment.escapes(file, path.parent):
            problems.append(Problem(item.place, f"{item.text!r} lies outside the project", containment.ALLOWED))
        elif tracked.is_file(file):
            files.append(file)
        else:
            hint = f"looked in {path.parent}"
            problems.append(Problem(item.place, f"there is no file {item.text!r} to append", hint))
    return files


def _under(node: Node | None, key: str) -> Node | None:
    """The value of a mapping's key, if there is one."""
    for name, item in node.pairs if isinstance(node, document.Mapping) else ():
        if isinstance(name, document.Scalar) and name.text == key:
            return item
    return None


def _read(node: Node) -> tuple[dict[str, Any], Reader]:
    """Every section's value, and the reader, which has the problems and the place of every value."""
    reader, known = Reader(), sections.sections()
    values = {name: section.empty for name, section in known.items()}
    with contextlib.suppress(InvalidValue):
        for name, place, item in reader.pairs(node, ()):
            if name not in known:
                reader.invalid(place, (), f"unknown key {name!r}", suggestion(name, list(known)))
                continue
            with contextlib.suppress(InvalidValue):
                values[name] = reader.read(known[name].kind, item, (name,))
    return values, reader


def _checked(spec: Spec) -> Spec:
    """`spec` with its warnings and the defaults of `build:`. Raises Problems that only the whole spec shows."""
    problems, warned = [], []
    for name, section in sections.sections().items():
        value = spec[name]
        for path, message, hint in (*violations(value), *section.problems(value, spec)):
            problems.append(Problem(spec.where((name, *path)), message, hint))
        for path, message, hint in section.warnings(value, spec):
            warned.append(Problem(spec.where((name, *path)), message, hint))
    problems += _wrong_release(spec)
    _refuse(problems)
    settled = {**spec.sections, "build": filled_in(spec["build"])}
    return replace(spec, sections=settled, warnings=tuple(warned))


def _wrong_release(spec: Spec) -> Iterator[Problem]:
    """Problem of a release that neither the project nor nodekiln has."""
    release: str | None = spec["build"].release
    if release is None:
        return
    from pipeline.packages import sources

    known = list(sources.load().releases)
    if release not in known:
        hint = suggestion(release, known) or f"there is {', '.join(known)}"
        yield Problem(spec.where(("build", "release")), f"there is no release {release!r}", hint)
