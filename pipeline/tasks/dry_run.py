"""Dry run: what a build of a spec would do now, stage by stage, and why. Nothing is run, fetched or written.

Its sources are doit's state (what was built in this checkout) and the store's records. Whether a stage that runs gives
the same result as before is unknown; the stages after it that have not changed themselves then count as MAY_RUN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.engine.gc import records
from pipeline.model.digest import Digest, is_digest
from pipeline.planning.plan import Plan
from pipeline.project.project import RESULTS, Project
from pipeline.project.targets import Target
from pipeline.store import Store
from pipeline.tasks import staleness, state

RUN, MAY_RUN, RESTORE, UP_TO_DATE = "runs", "runs unless its inputs come out as before", "restored", "up to date"

Records = Mapping[str, list[dict[str, Any]]]
"""The facts of the store's records by stage, the last used first."""


class Step(NamedTuple):
    """A stage, and what a build would do with it.

    outcome: RUN, MAY_RUN, RESTORE or UP_TO_DATE. last: how it differs from this checkout's last build; nearest: from
    the most similar record of the store. seconds: what it took when it last ran, None if it never did.
    """

    target: Target
    task: str
    action: Action
    outcome: str
    last: str
    nearest: str
    seconds: float | None


def targets(project: Project, name: str) -> list[Target]:
    """Returns the targets of the spec `name`. NodekilnError if its lock lacks something of its formats."""
    found = project.targets(name)
    for target in found:
        target.locked(*target.spec.build.formats)
    return found


def requested(plan: Plan) -> list[Action]:
    """Returns the actions of the formats that the spec asks for, after the checks that precede their publication."""
    names = plan.spec.build.formats
    return [*dict.fromkeys(check for name in names for check in plan.checks(name)), *map(plan.format, names)]


def steps(project: Project, name: str) -> list[Step]:
    """Returns a step for every stage of the spec `name`, inputs before what uses them."""
    built = state.saved(project.root / RESULTS / state.NAME)
    known = _records(project.store)
    return [
        _step(project, target, action, built.get(target.task(action.name), {}), known)
        for target in targets(project, name)
        for action in closure(*requested(target.plan))
    ]


def outputs(project: Project, target: Target) -> Iterator[tuple[str, Action, Path]]:
    """Yields name and action of every format that the spec asks for, and the start of its files' paths."""
    for name in target.spec.build.formats:
        yield name, target.plan.format(name), project.root / target.folder / target.spec.name


def downloads(project: Project, step: Step) -> dict[Digest, int]:
    """Returns the blobs that a stage would fetch, and their sizes, as its parameters and the lock name them."""
    params, target = step.action.params, step.target
    locked = project.lock(target.spec.name).images.get(str(params.get("reference")), {})
    platform = locked.get("platforms", {}).get(target.arch, {})
    named = {digest: size for values in (dict(params), platform) for digest, size in _sized(values)}
    return {digest: size for digest, size in named.items() if not project.store.has(digest)}


def _sized(value: Any) -> Iterator[tuple[Digest, int]]:
    """Yields digest and size of each object inside a JSON value that has a `size` and a `digest` (or `sha256`)."""
    if isinstance(value, dict):
        name = value.get("digest") or f"sha256:{value.get('sha256')}"
        if isinstance(value.get("size"), int) and is_digest(name):
            yield Digest.parse(name), value["size"]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _sized(item)


def _step(project: Project, target: Target, action: Action, built: Mapping[str, Any], known: Records) -> Step:
    now = {"key": action.key, "damage": project.damage, **action.facts()}
    records = known.get(now["stage"], [])
    seconds = next((old["seconds"] for old in records if old.get("name") == action.name and "seconds" in old), None)

    def step(outcome: str, last: str = "", nearest: str = "") -> Step:
        return Step(target, target.task(action.name), action, outcome, last, nearest, seconds)

    if staleness.same(built, now):
        return step(UP_TO_DATE)
    last = staleness.difference(built, now) if built else "never built here"
    record = project.store.record(action.key)
    if record is not None and project.store.has(record.result):
        return step(RESTORE, last)
    outcome = MAY_RUN if built and not staleness.changes(built, now) and staleness.changed_inputs(built, now) else RUN
    nearest = min(records, key=lambda old: staleness.distance(old, now), default=None)
    if nearest is None:
        return step(outcome, last, "no record of this stage")
    if not staleness.distance(nearest, now):
        return step(outcome, last, "the same, but its result is gone")
    return step(outcome, last, staleness.difference(nearest, now))


def _records(store: Store) -> Records:
    """Returns the facts of every record that names its stage, by stage, the last used first."""
    dated: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for path, record in records(store):
        if record is not None and "stage" in record.facts:
            dated.setdefault(record.facts["stage"], []).append((path.stat().st_mtime, record.facts))
    return {stage: [facts for _, facts in sorted(rows, key=lambda row: -row[0])] for stage, rows in dated.items()}
