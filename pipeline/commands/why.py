"""doit why: which stages a build would run, and the exact field that differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.tasks.dry_run import Step


@command(
    "which stages would run, and what differs from the last build and from the nearest in the cache",
    all="show what is only restored, too",
)
def run(project: Project, names: Sequence[str], all: bool = False) -> None:
    """Prints every stage of specs that would run, with its reasons."""
    from pipeline.tasks import dry_run

    for name in names:
        for line in lines(dry_run.steps(project, name), all):
            say(line)


def lines(steps: list[Step], all: bool) -> Iterator[str]:
    """Yields lines about `steps`; those that are only restored are counted unless `all` is wanted."""
    from pipeline.tasks.dry_run import MAY_RUN, RESTORE, RUN

    for step in steps:
        if step.outcome == MAY_RUN:
            yield f"{step.task}: {step.outcome} ({step.last})"
        elif step.outcome == RUN or (all and step.outcome == RESTORE):
            yield f"{step.task}: {step.outcome}"
            yield f"    since the last build here: {step.last}"
            if step.nearest and step.nearest != step.last:
                yield f"    nearest in the cache: {step.nearest}"
    yield counted(steps)


def counted(steps: list[Step]) -> str:
    """Returns how many of `steps` have which outcome."""
    from pipeline.tasks.dry_run import MAY_RUN, RESTORE, RUN, UP_TO_DATE

    words = {RUN: "run", MAY_RUN: "may run", RESTORE: "restored", UP_TO_DATE: "up to date"}
    return ", ".join(f"{sum(step.outcome == outcome for step in steps)} {word}" for outcome, word in words.items())
