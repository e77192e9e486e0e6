"""check: what is wrong with a spec, without building it, as text or as JSON for editors and CI."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.action import Action, using
from pipeline.language import spec
from pipeline.language.problem import Place, Problem, Problems, StageProblem, Warned, listening
from pipeline.parts import Part
from pipeline.store import Store


class Found(NamedTuple):
    """What a check came to, each in the order of its lines."""

    errors: list[Problem]
    warnings: list[Problem]


def check(path: Path) -> Found:
    """What the spec in the file `path` says of itself: only its own files are read."""
    try:
        return Found([], list(spec.load(path).warned))
    except Problems as problems:
        return Found(problems.problems, [])


def examine(store: Store, parts: Iterable[Part]) -> Found:
    """What only the images can tell about `parts`: their stages run, over images that are fetched if need be.

    The stages run even if their results are known already, since only then they warn.
    """
    found = Found([], [])
    for part in parts:
        action = part.tree
        with listening() as heard:
            try:
                using(
                    store, action.inputs, lambda *inputs, action=action: action.stage(store, *inputs, **action.params)
                )
            except StageProblem as problem:
                found.errors.extend(_placed(action, each) for each in problem.each)
        found.warnings.extend(_placed(action, warned) for warned in heard)
    return Found(sorted(found.errors), sorted(found.warnings))


def _placed(action: Action, said: StageProblem | Warned) -> Problem:
    file, line, column = (action.where(said.path) if action.where else f"{action.name}:1:1").rsplit(":", 2)
    return Problem(Place(file, int(line), int(column)), said.message, said.hint)


def as_json(found: Found) -> list[dict[str, Any]]:
    """As JSON: `file`, `line` and `column` (from 1), `severity` (error or warning), `message`, `hint`."""
    severities = [("error", each) for each in found.errors] + [("warning", each) for each in found.warnings]
    return [
        each.place._asdict() | {"severity": severity, "message": each.message, "hint": each.hint}
        for severity, each in severities
    ]
