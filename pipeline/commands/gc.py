"""doit gc: make the store smaller. What the specs on disk need stays, and of the rest what was used last."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.model import size
from pipeline.project.project import Project

DOC = "remove from the cache what no spec needs and was not used lately"
PARAMS = [
    {"name": "max_size", "long": "max-size", "default": "10G", "help": "what may stay (0: only what specs need)"},
    {"name": "dry_run", "long": "dry-run", "short": "n", "type": bool, "default": False, "help": "only say it"},
]


def run_all(project: Project, max_size: str = "10G", dry_run: bool = False) -> None:
    """Collect, and say what it freed. Builds may run meanwhile.

    A spec that cannot be read, or has no lock yet, is an error: what it needs is not known.
    """
    from pipeline.engine import gc
    from pipeline.tasks.dry_run import asked, plans

    budget = size.parse(max_size)
    needed = [action for name in project.names() for made in plans(project, name) for action in asked(made)]
    freed = gc.collect(project.store, needed, budget, dry_run)
    verb = "would free" if dry_run else "freed"
    say(f"{verb} {size.shown(freed.size)}: {freed.blobs} blobs, {freed.results} results")
    say(f"kept {size.shown(freed.kept)}, of which specs and running builds need {size.shown(freed.needed)}")
    if freed.needed > budget:
        say(f"that is more than {size.shown(budget)}, but needed")
