"""doit plan:NODE: what a build would do, fetch and write, and how long it may take. Nothing is run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pipeline.commands.why import counted
from pipeline.host.terminal import say
from pipeline.model import size
from pipeline.project import results_state
from pipeline.project.project import RESULTS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engine.action import Action
    from pipeline.tasks.dry_run import Step

DOC = "what a build would run, fetch and write, and how long that takes; nothing is run"
PARAMS: list[dict[str, object]] = []


def run(project: Project, name: str) -> None:
    """Print the stages that would run, and what that comes to."""
    from pipeline.tasks import dry_run

    steps = dry_run.steps(project, name)
    running = [step for step in steps if step.outcome in (dry_run.RUN, dry_run.MAY_RUN)]
    for step in running:
        say(f"{step.task}: {step.outcome}" + (f" (took {step.seconds:.2f} s)" if step.seconds is not None else ""))
    say(counted(steps))
    fetched = {blob: size for step in running for blob, size in dry_run.downloads(project, step).items()}
    say(f"to fetch: {size.shown(sum(fetched.values()))} in {len(fetched)} blobs")
    say(f"to write: {_written(project, name)}")
    say(f"time: {_time(running)}")


def _written(project: Project, name: str) -> str:
    """What would be written into build/: exact where the result is in the store, else as much as there is now."""
    from pipeline.tasks import dry_run, state

    built = state.saved(project.root / RESULTS / state.NAME)
    total, guessed = 0, False
    for made in dry_run.plans(project, name):
        for task, action, base in dry_run.outputs(project, made):
            known = _sizes(project, action)
            there = results_state.read(base.parent.relative_to(project.root))
            if built.get(task, {}).get("key") != action.key or there.staleness(_format(task), action.key):
                guessed = guessed or not known
                total += sum((known or _last(base, task)).values())
    return ("about " if guessed else "") + size.shown(total)


def _sizes(project: Project, action: Action) -> dict[str, int]:
    """The sizes of a format's files by their suffixes; {} if it is not in the store."""
    record: Any = project.store.record(action.key)
    if record is None or not project.store.has(record.result):
        return {}
    return {suffix: getattr(entry, "size", 0) for suffix, entry in project.store.tree(record.result).items()}


def _format(task: str) -> str:
    """The format of a task `build:NODE:FORMAT` or `build:NODE:ARCH/FORMAT`."""
    return task.rpartition("/")[2].rpartition(":")[2]


def _last(base: Path, task: str) -> dict[str, int]:
    """The sizes of the files of a format as it was last published, by their names."""
    from pipeline.project.publish import MANIFEST

    try:
        formats = json.loads((base.parent / MANIFEST).read_bytes())["formats"]
        files = formats[_format(task)]["files"]
        return {name: facts["size"] for name, facts in files.items()}
    except (OSError, ValueError, KeyError):
        return {}


def _time(running: list[Step]) -> str:
    """From what the stages took when they last ran, for those that certainly run and for all that may."""
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
    """The longest chain of `running`, or all of it spread over the cores, whichever takes longer."""
    ends: dict[int, float] = {}
    for step in running:  # inputs come first
        begin = max((ends.get(id(given), 0.0) for given in step.action.inputs), default=0.0)
        ends[id(step.action)] = begin + (step.seconds or 0.0)
    spread = sum(step.seconds or 0.0 for step in running) / (os.cpu_count() or 1)
    return max(spread, *ends.values()) if ends else 0.0
