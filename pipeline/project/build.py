"""Builds without doit. pipeline exports the functions `plan` and `build`; docs/reference/api.md has an example.

Paths in a spec, and those given here, are relative to the current directory, as they are for doit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from pipeline.engine.action import Action, closure
from pipeline.language.problem import SpecWarning, StageProblem, collect_warnings
from pipeline.model.errors import BadInput
from pipeline.planning import lock
from pipeline.planning.load import load
from pipeline.planning.plan import Plan
from pipeline.project.project import Project
from pipeline.project.publish import publish
from pipeline.project.targets import Target
from pipeline.spec.spec import Spec
from pipeline.store import Store


def plan(spec: Spec | Path | str, arch: str = "") -> Plan:
    """The actions of a spec, or of its YAML file, with the names that the lock beside it explains. Nothing runs.

    arch: amd64 or arm64; the spec's first by default.
    """
    return _target(spec, arch).plan


def _target(spec: Spec | Path | str, arch: str) -> Target:
    loaded = spec if isinstance(spec, Spec) else load(Path(spec))
    return Target(loaded, arch or loaded.build.arch[0], lock.read(loaded.path.with_suffix(".lock")))


def build(
    spec: Spec | Path | str,
    formats: Sequence[str] = (),
    store: Store | Path | str = "",
    output: Path | str = "",
    arch: str = "",
) -> list[Path]:
    """Builds a spec, or its YAML file, and returns the paths of the output files, manifest.json not among them.

    formats: names; the spec's own by default. store: a store or its folder; `cache` by default. output: a folder;
    `build/NAME` by default, `build/NAME/ARCH` for a spec of several architectures. Warnings are Python's. BadInput, or
    another NodekilnError, has a message for people.
    """
    target, project = _target(spec, arch), Project(Path())
    if store:
        project.store = store if isinstance(store, Store) else Store(Path(store))
    folder = Path(output).resolve() if output else target.folder
    names = formats or target.spec.build.formats
    node = target.locked(*names)
    actions = {name: [*closure(*node.checks(name), node.format(name))] for name in names}
    project.store.beyond.prepare(project.store, [action.key for some in actions.values() for action in some])
    for problem in target.spec.warnings:
        warnings.warn(str(problem), stacklevel=2)
    paths: dict[str, None] = {}
    for name in names:
        for action in actions[name]:
            for warning in perform(project, action)[1]:
                warnings.warn(warning, stacklevel=2)
        paths |= dict.fromkeys(publish(project, node, name, node.format(name), folder))
    project.store.finish()
    return [*map(Path, paths)]


def perform(project: Project, action: Action) -> tuple[bool, list[str]]:
    """Performs `action`: whether its stage ran, and warnings. Errors and warnings have the place in the spec."""
    with collect_warnings() as collected:
        try:
            _, ran = action.perform(project.store, project.execute)
        except StageProblem as error:
            raise BadInput("\n".join(_located(action, problem) for problem in error.problems)) from None
    return ran, [_located(action, warning) for warning in collected]


def _located(action: Action, problem: StageProblem | SpecWarning) -> str:
    where = action.where(problem.path) if action.where else action.name
    return f"{where}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
