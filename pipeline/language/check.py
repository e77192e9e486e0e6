"""check: what is wrong with a spec, without building it, as text or as JSON for editors and CI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.action import Action, using
from pipeline.language import booted, lookup, spec
from pipeline.language.problem import Place, Problem, Problems, StageProblem, Warned, listening
from pipeline.parts import Part
from pipeline.stages.carried import PATH
from pipeline.store import Store
from pipeline.tree import Tree
from pipeline.writers.carried import Carried


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


def examine(store: Store, parts: Iterable[Part], carried: Iterable[Carried] = ()) -> Found:
    """What only the images can tell about `parts`: their stages run, over images that are fetched if need be.

    The stages run even if their results are known already, since only then they warn. carried: what the formats that
    the parts are for keep of them.
    """
    found, made = Found([], []), []
    for part in parts:
        action = part.tree
        with listening() as heard:
            try:
                digest = using(
                    store, action.inputs, lambda *inputs, action=action: action.stage(store, *inputs, **action.params)
                )
                made.append((part, store.tree(digest)))
            except StageProblem as problem:
                found.errors.append(_placed(action, problem))
        found.warnings.extend(_placed(action, warned) for warned in heard)
    found.warnings.extend(_missing(store, made))
    for part, tree in made:
        for refused, message, hint in (loss for form in carried for loss in form.losses(tree)):
            (found.errors if refused else found.warnings).append(_placed(part.tree, Warned(PATH, message, hint)))
    return Found(sorted(found.errors), sorted(found.warnings))


def _missing(store: Store, made: list[tuple[Part, Tree]]) -> Iterator[Problem]:
    """A warning for each bind of a container whose source nothing makes."""
    root = {path: entry for _, tree in made for path, entry in tree.items()}
    actions = {part.prefix: part.tree for part, tree in made if f"{part.prefix}/config.json" in tree}
    bundles = [booted.bundle(prefix, root, store.bytes) for prefix in actions]
    for each, source, destination in booted.missing(root, bundles):
        action = actions[each.prefix]
        path = lookup.said_at(destination, action.params["entry"])
        message = f"nothing makes {source!r}" + (", which the image's label binds" if path == ("image",) else "")
        empty = f"; `runtime: {{mkdir: [{source}]}}` makes a directory" if booted.lost(source.strip("/"), False) else ""
        hint = f"it is not there once the node has booted{empty or '; init images and files: could bring it'}"
        yield _placed(action, Warned(path, message, hint))


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
