"""doit plan: what a build would do, fetch and write, and how long it may take. Nothing is run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.host.terminal import say
from pipeline.project.project import RESULTS, Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engine.action import Action
    from pipeline.tasks.dry_run import Step


@command("what a build would run, fetch and write, and how long that takes; nothing is run")
def run(project: Project, names: Sequence[str]) -> None:
    """Prints the stages of specs that would run, and what that comes to."""
    from pipeline.commands.why import counted
    from pipeline.model import size
    from pipeline.tasks import dry_run

    for name in names:
        steps = dry_run.steps(project, name)
        running = [step for step in steps if step.outcome in (dry_run.RUN, dry_run.MAY_RUN)]
        for step in running:
            say(f"{step.task}: {step.outcome}" + (f" (took {step.seconds:.2f} s)" if step.seconds is not None else ""))
        say(counted(steps))
        if project.store.beyond.keeps:
            say(f"in shared caches: {_shared(project, steps, running)} of {len(running)} results")
        fetched = {blob: size for step in running for blob, size in dry_run.downloads(project, step).items()}
        say(f"to fetch: {size.shown(sum(fetched.values()))} in {len(fetched)} blobs")
        say(f"to write: {_written(project, name)}")
        say(f"time: {_time(running)}")


def _shared(project: Project, steps: list[Step], running: list[Step]) -> int:
    """Returns how many of the stages `running` would not run, as a shared cache has their results."""
    store = project.store
    store.beyond.prepare(store, [step.action.key for step in steps])
    return sum(store.beyond.record(store, step.action.key) is not None for step in running)


def _written(project: Project, name: str) -> str:
    """Returns how much would be written into build/: exact for results in the store, else as much as there is now."""
    from pipeline.model import size
    from pipeline.project import results_state
    from pipeline.tasks import dry_run, state

    built = state.saved(project.root / RESULTS / state.NAME)
    total, guessed = 0, False
    for target in dry_run.targets(project, name):
        there = results_state.read(target.folder)
        for format, action, base in dry_run.outputs(project, target):
            known = _sizes(project, action)
            if built.get(target.task(format), {}).get("key") != action.key or there.staleness(format, action.key):
                guessed = guessed or not known
                total += sum((known or _last(base, format)).values())
    return ("about " if guessed else "") + size.shown(total)


def _sizes(project: Project, action: Action) -> dict[str, int]:
    """Returns the sizes of a format's files by their suffixes; {} if it is not in the store."""
    record: Any = project.store.record(action.key)
    if record is None or not project.store.has(record.result):
        return {}
    return {suffix: getattr(entry, "size", 0) for suffix, entry in project.store.tree(record.result).items()}


def _last(base: Path, format: str) -> dict[str, int]:
    """Returns the sizes of the files of a format as it was last published, by their names."""
    from pipeline.project.publish import MANIFEST

    try:
        files = json.loads((base.parent / MANIFEST).read_bytes())["formats"][format]["files"]
        return {name: attributes["size"] for name, attributes in files.items()}
    except (OSError, ValueError, KeyError):
        return {}


def _time(running: list[Step]) -> str:
    """Returns the time of the stages that certainly run and of all that may, from what they took when they last ran."""
    from pipeline.tasks.dry_run import RUN

    sure = _seconds([step for step in running if step.outcome == RUN])
    most = _seconds(running)
    unknown = sum(step.seconds is None for step in running)
    return (
        f"about {sure:.1f} s"
        + (f", {most:.1f} s if nothing comes out as before" if most > sure else "")
        + (f"; {unknown} of the stages never ran" if unknown else "")
    )


def _seconds(running: list[Step]) -> float:
    """Returns the time of the longest chain of `running`, or of all spread over the cores, whichever is longer."""
    ends: dict[int, float] = {}
    for step in running:  # inputs come first
        begin = max((ends.get(id(needed), 0.0) for needed in step.action.inputs), default=0.0)
        ends[id(step.action)] = begin + (step.seconds or 0.0)
    spread = sum(step.seconds or 0.0 for step in running) / (os.cpu_count() or 1)
    return max(spread, *ends.values()) if ends else 0.0
