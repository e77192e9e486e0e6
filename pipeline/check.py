"""check: what is wrong with a spec, without building anything, as text or as JSON for editors and CI."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline import spec
from pipeline.problem import Problem, Problems

ERROR, WARNING = "error", "warning"


def check(path: Path) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings of the spec in the file `path`. Reads its files, and nothing else."""
    try:
        return [], list(spec.load(path).warned)
    except Problems as problems:
        return problems.problems, []


def as_json(errors: Iterable[Problem], warnings: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems as JSON: `file`, `line` and `column` (from 1), `severity`, `message`, `hint`."""
    found = [(ERROR, problem) for problem in errors] + [(WARNING, problem) for problem in warnings]
    return [
        problem.place._asdict() | {"severity": severity, "message": problem.message, "hint": problem.hint}
        for severity, problem in found
    ]
