"""Check: errors and warnings of a spec, found without building it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.container import booted_root, image_checks
from pipeline.engine.action import Action, closure, with_results
from pipeline.language.problem import Place, Problem, Problems, SpecWarning, StageProblem, collect_warnings
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree
from pipeline.planning.load import load
from pipeline.spec.components import Component
from pipeline.stages.carried import PATH
from pipeline.store import Store
from pipeline.writers.carried import Carried


class CheckResult(NamedTuple):
    """Errors and warnings, each in the order of lines."""

    errors: list[Problem]
    warnings: list[Problem]


def check(path: Path) -> CheckResult:
    """Checks the spec in the file `path`. Reads the spec's own files alone."""
    try:
        return CheckResult([], list(load(path).warnings))
    except Problems as problems:
        return CheckResult(problems.problems, [])


def examine(
    store: Store, components: Iterable[Component], carried: Iterable[Carried] = (), checks: Iterable[Action] = ()
) -> CheckResult:
    """Runs the stages of `components` and the `checks`, and collects their problems and warnings.

    Images are fetched if need be. A stage runs even if its result is known, since only then it warns. Stages behind a
    problem do not run. carried: the attributes of files that each form of the root keeps.
    """
    components = [*components]
    actions = [*(component.tree for component in components), *checks]
    result, failed, trees = CheckResult([], []), set[Action](), dict[Action, Tree]()
    for action in closure(*actions):
        if failed.intersection(action.inputs):
            failed.add(action)
            continue
        with collect_warnings() as warnings:
            try:
                digest = _run(store, action) if action in actions else action.perform(store)[0]
                if action in actions:
                    trees[action] = store.tree(digest)
            except StageProblem as problem:
                failed.add(action)
                result.errors.extend(_problem(action, each) for each in problem.problems)
        result.warnings.extend(_problem(action, each) for each in warnings)
    with_trees = [(component, trees[component.tree]) for component in components if component.tree in trees]
    result.warnings.extend(_missing(store, with_trees))
    for component, tree in with_trees:
        for refused, message, hint in (each for form in carried for each in form.losses(tree)):
            loss = _problem(component.tree, SpecWarning(PATH, message, hint))
            (result.errors if refused else result.warnings).append(loss)
    return merged(result)


def _run(store: Store, action: Action) -> Digest:
    """Call the action's stage, whether its result is known or not."""
    return with_results(store, action.inputs, lambda *inputs: action.stage(store, *inputs, **action.params))


def merged(*results: CheckResult, harmless: CheckResult | None = None) -> CheckResult:
    """All problems, each once and in the order of lines; an error is not a warning too.

    harmless: results whose errors are warnings.
    """
    errors = {error for each in results for error in each.errors}
    warnings = {warning for each in results for warning in each.warnings}
    if harmless:
        warnings.update(harmless.errors, harmless.warnings)
    return CheckResult(sorted(errors), sorted(warnings - errors))


def _missing(store: Store, components: list[tuple[Component, Tree]]) -> Iterator[Problem]:
    """Yields a warning for each bind of a container whose source no component has."""
    root = Tree({path: entry for _, tree in components for path, entry in tree.items()})
    actions = {each.prefix: each.tree for each, tree in components if f"{each.prefix}/config.json" in tree}
    bundles = [booted_root.bundle(prefix, root, store.bytes) for prefix in actions]
    for each, source, destination in booted_root.binds_without_source(root, bundles):
        action = actions[each.prefix]
        path = image_checks.mount_path(destination, action.params["entry"])
        message = f"no component has {source!r}" + (", which the image's label binds" if path == ("image",) else "")
        empty = (
            f"; `runtime: {{mkdir: [{source}]}}` makes a directory"
            if booted_root.hidden_reason(source.strip("/"), False)
            else ""
        )
        hint = f"it is not there once the node has booted{empty or '; init images and files: could bring it'}"
        yield _problem(action, SpecWarning(path, message, hint))


def _problem(action: Action, problem: StageProblem | SpecWarning) -> Problem:
    """A problem of a stage at its place in the spec."""
    file, line, column = (action.where(problem.path) if action.where else f"{action.name}:1:1").rsplit(":", 2)
    return Problem(Place(file, int(line), int(column)), problem.message, problem.hint)


def as_json(result: CheckResult) -> list[dict[str, Any]]:
    """Rows for editors and CI: `file`, `line`, `column` (from 1), `severity` (error, warning), `message`, `hint`."""
    severities = [("error", each) for each in result.errors] + [("warning", each) for each in result.warnings]
    return [
        each.place._asdict() | {"severity": severity, "message": each.message, "hint": each.hint}
        for severity, each in severities
    ]
