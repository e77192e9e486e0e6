"""check: what is wrong with a spec, without building it, as text or as JSON for editors and CI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.container import booted_root, image_checks
from pipeline.engine.action import Action, closure, using
from pipeline.language.problem import Place, Problem, Problems, SpecWarning, StageProblem, collect_warnings
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree
from pipeline.planning.load import load
from pipeline.spec.components import Component
from pipeline.stages.carried import PATH
from pipeline.store import Store
from pipeline.writers.carried import Carried


class Found(NamedTuple):
    """What a check came to, each in the order of its lines."""

    errors: list[Problem]
    warnings: list[Problem]


def check(path: Path) -> Found:
    """What the spec in the file `path` says of itself: only its own files are read."""
    try:
        return Found([], list(load(path).warned))
    except Problems as problems:
        return Found(problems.problems, [])


def examine(
    store: Store, parts: Iterable[Component], carried: Iterable[Carried] = (), checks: Iterable[Action] = ()
) -> Found:
    """What only the images can tell: the stages of `parts` run, and `checks`, over images that are fetched if need be.

    They run even if their results are known already, since only then they warn. What uses the result of a stage that
    finds a problem is left out: each problem is said once. carried: what the
    formats that the parts are for keep of them.
    """
    parts = [*parts]
    found, wanted, wrong = Found([], []), [*(part.tree for part in parts), *checks], set[Action]()
    trees = dict[Action, Tree]()
    for action in closure(*wanted):
        if wrong.intersection(action.inputs):
            wrong.add(action)
            continue
        with collect_warnings() as heard:
            try:
                digest = _run(store, action) if action in wanted else action.perform(store)[0]
                if action in wanted:
                    trees[action] = store.tree(digest)
            except StageProblem as problem:
                wrong.add(action)
                found.errors.extend(_placed(action, each) for each in problem.problems)
        found.warnings.extend(_placed(action, warned) for warned in heard)
    made = [(part, trees[part.tree]) for part in parts if part.tree in trees]
    found.warnings.extend(_missing(store, made))
    for part, tree in made:
        for refused, message, hint in (loss for form in carried for loss in form.losses(tree)):
            (found.errors if refused else found.warnings).append(_placed(part.tree, SpecWarning(PATH, message, hint)))
    return together(found)


def _run(store: Store, action: Action) -> Digest:
    """Call the action's stage, whether its result is known or not."""
    return using(store, action.inputs, lambda *inputs: action.stage(store, *inputs, **action.params))


def together(*found: Found, harmless: Found | None = None) -> Found:
    """All of `found`, each problem once, in the order of lines; what is an error is no warning as well.

    harmless: the problems of what nobody asks for: they are warnings.
    """
    errors = {error for each in found for error in each.errors}
    warnings = {warning for each in found for warning in each.warnings}
    if harmless:
        warnings.update(harmless.errors, harmless.warnings)
    return Found(sorted(errors), sorted(warnings - errors))


def _missing(store: Store, made: list[tuple[Component, Tree]]) -> Iterator[Problem]:
    """A warning for each bind of a container whose source nothing makes."""
    root = Tree({path: entry for _, tree in made for path, entry in tree.items()})
    actions = {part.prefix: part.tree for part, tree in made if f"{part.prefix}/config.json" in tree}
    bundles = [booted_root.bundle(prefix, root, store.bytes) for prefix in actions]
    for each, source, destination in booted_root.binds_without_source(root, bundles):
        action = actions[each.prefix]
        path = image_checks.mount_path(destination, action.params["entry"])
        message = f"nothing makes {source!r}" + (", which the image's label binds" if path == ("image",) else "")
        empty = (
            f"; `runtime: {{mkdir: [{source}]}}` makes a directory"
            if booted_root.hidden_reason(source.strip("/"), False)
            else ""
        )
        hint = f"it is not there once the node has booted{empty or '; init images and files: could bring it'}"
        yield _placed(action, SpecWarning(path, message, hint))


def _placed(action: Action, said: StageProblem | SpecWarning) -> Problem:
    file, line, column = (action.where(said.path) if action.where else f"{action.name}:1:1").rsplit(":", 2)
    return Problem(Place(file, int(line), int(column)), said.message, said.hint)


def as_json(found: Found) -> list[dict[str, Any]]:
    """As JSON: `file`, `line` and `column` (from 1), `severity` (error or warning), `message`, `hint`."""
    severities = [("error", each) for each in found.errors] + [("warning", each) for each in found.warnings]
    return [
        each.place._asdict() | {"severity": severity, "message": each.message, "hint": each.hint}
        for severity, each in severities
    ]
