"""doit gc: make the store smaller. What the specs on disk need stays, and of the rest what was used last."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.project.project import Project
from pipeline.tasks.command import command


@command(
    "remove from the cache what no spec needs and was not used lately",
    names=None,
    short={"dry_run": "n"},
    max_size="what may stay (0: only what specs need)",
    dry_run="only print it",
)
def run(project: Project, max_size: str = "10G", dry_run: bool = False) -> None:
    """Collects, and prints what it freed. Builds may run meanwhile.

    A spec that cannot be read, or has no lock yet, is an error: what it needs is not known.
    """
    from pipeline.engine import gc
    from pipeline.model import size
    from pipeline.tasks.dry_run import requested, targets

    budget = size.parse(max_size)
    plans = [target.plan for name in project.names() for target in targets(project, name)]
    freed = gc.collect(project.store, [action for plan in plans for action in requested(plan)], budget, dry_run)
    verb = "would free" if dry_run else "freed"
    say(f"{verb} {size.shown(freed.size)}: {freed.blobs} blobs, {freed.results} results")
    say(f"kept {size.shown(freed.kept)}, of which specs and running builds need {size.shown(freed.needed)}")
    if freed.needed > budget:
        say(f"that is more than {size.shown(budget)}, but needed")
