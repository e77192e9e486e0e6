"""Dry run: what a build of a spec would do now, stage by stage, and why. Nothing is run, fetched or written.

It knows what doit knows (what was built in this checkout) and what the store remembers. What it cannot know is whether
a stage that runs gives what it gave before; then those after it, which have not changed themselves, are restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.engine.gc import records
from pipeline.host.terminal import printable
from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest, is_digest
from pipeline.model.errors import NodekilnError
from pipeline.planning.plan import Plan, plan
from pipeline.project.project import RESULTS, Project
from pipeline.store import Store
from pipeline.tasks import staleness, state

RUN, MAY_RUN, RESTORE, UP_TO_DATE = "runs", "runs unless its inputs come out as before", "restored", "up to date"

Known = list[tuple[float, dict[str, Any]]]
"""What the store remembers of a stage: when each record was used, and its facts; the latest first."""


class Step(NamedTuple):
    """What would become of one stage.

    outcome: RUN, MAY_RUN, RESTORE or UP_TO_DATE. last: how it differs from what this checkout built last; nearest: from
    the most similar thing that the store remembers. seconds: what it took when it last ran, None if it never did.
    """

    made: Plan
    task: str
    action: Action
    outcome: str
    last: str
    nearest: str
    seconds: float | None


def plans(project: Project, name: str) -> list[Plan]:
    """The plans of a spec, one an architecture. NodekilnError if its lock lacks something of its formats."""
    spec = project.load(name)
    found = [plan(spec, project.lock(name), arch) for arch in spec.build.arch]
    for made in found:
        if missing := made.missing(*spec.build.formats):
            raise NodekilnError(
                f"{project.lock_path(name)} lacks {missing[0]}: run {user_command(f'lock:{name}')} first"
            )
    return found


def asked(made: Plan) -> list[Action]:
    """The actions that give the formats which the spec asks for, and what is checked before they are published."""
    names = made.spec.build.formats
    return [*dict.fromkeys(check for name in names for check in made.checks(name)), *map(made.format, names)]


def task_name(made: Plan, name: str) -> str:
    """build:NODE:STAGE, as doit knows it."""
    folder = f"{made.arch}/" if len(made.spec.build.arch) > 1 else ""
    return f"build:{made.spec.name}:{folder}{printable(name)}"


def steps(project: Project, name: str) -> list[Step]:
    """A step for every stage of the spec `name`, inputs before what uses them."""
    built = state.saved(project.root / RESULTS / state.NAME)
    known = _known(project.store)
    steps = []
    for made in plans(project, name):
        for action in closure(*asked(made)):
            last = built.get(task_name(made, action.name), {})
            steps.append(_step(project.store, project.damage, made, action, last, known))
    return steps


def outputs(project: Project, made: Plan) -> Iterator[tuple[str, Action, Path]]:
    """Of every format asked for: its task, its action, and what its files' names start with."""
    folder = project.results(made.spec.name, made.arch if len(made.spec.build.arch) > 1 else "")
    for name in made.spec.build.formats:
        yield task_name(made, name), made.format(name), project.root / folder / made.spec.name


def downloads(project: Project, step: Step) -> dict[Digest, int]:
    """The blobs that a stage would fetch, and their sizes: what its parameters or the lock say that it needs."""
    params, made = step.action.params, step.made
    locked = project.lock(made.spec.name).images.get(str(params.get("reference")), {})
    platform = locked.get("platforms", {}).get(made.arch, {})
    named = {digest: size for given in (dict(params), platform) for digest, size in _sized(given)}
    return {digest: size for digest, size in named.items() if not project.store.has(digest)}


def _sized(value: Any) -> Iterator[tuple[Digest, int]]:
    """Everything inside a JSON value that has a `size` and a `digest` (or `sha256`)."""
    if isinstance(value, dict):
        name = value.get("digest") or f"sha256:{value.get('sha256')}"
        if isinstance(value.get("size"), int) and is_digest(name):
            yield Digest.parse(name), value["size"]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _sized(item)


def _step(
    store: Store, damaged: str, made: Plan, action: Action, built: Mapping[str, Any], known: Mapping[str, Known]
) -> Step:
    now = {"key": action.key, "damage": damaged, **action.facts()}
    its = [facts for _, facts in known.get(now["stage"], [])]
    seconds = next((facts["seconds"] for facts in its if facts.get("name") == action.name and "seconds" in facts), None)

    def step(outcome: str, last: str = "", nearest: str = "") -> Step:
        return Step(made, task_name(made, action.name), action, outcome, last, nearest, seconds)

    if staleness.same(built, now):
        return step(UP_TO_DATE)
    last = staleness.difference(built, now) if built else "never built here"
    record = store.record(action.key)
    if record is not None and store.has(record.result):
        return step(RESTORE, last)
    outcome = MAY_RUN if built and not staleness.changes(built, now) and staleness.changed_inputs(built, now) else RUN
    nearest = min(its, key=lambda facts: staleness.distance(facts, now), default=None)
    if nearest is None:
        return step(outcome, last, "nothing of this stage is there")
    if not staleness.distance(nearest, now):
        return step(outcome, last, "the same, but its result is gone")
    return step(outcome, last, staleness.difference(nearest, now))


def _known(store: Store) -> dict[str, Known]:
    """Every record that says of which stage it is, by stage, the latest used first."""
    found: dict[str, Known] = {}
    for path, record in records(store):
        if record is not None and "stage" in record.facts:
            found.setdefault(record.facts["stage"], []).append((path.stat().st_mtime, record.facts))
    for its in found.values():
        its.sort(key=lambda known: -known[0])
    return found
