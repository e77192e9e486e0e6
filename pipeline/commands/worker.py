"""doit worker: a worker of a Dask scheduler, which runs stages for other machines."""

from __future__ import annotations

import os

from pipeline.host.terminal import say
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command


@command(
    "run stages of other machines' builds, with this project's cache, until ^C: a worker of NODEKILN_WORKERS",
    names=None,
    threads="stages that it runs at once (default: as many as there are processors)",
    name="its name for the scheduler",
)
def run(project: Project, threads: int = 0, name: str = "") -> None:
    """Runs a worker. NodekilnError when the scheduler ends it or cannot be reached."""
    from pipeline.workers import configuration

    scheduler = configuration.configured(project.root)
    if scheduler is None:
        raise BadInput(f"no scheduler: set {configuration.VARIABLE} to dask+tls://HOST:{configuration.PORT}")
    if threads < 0:
        raise BadInput("--threads: not a number of stages")
    configuration.check_installed()
    from pipeline.workers import label, worker

    count = threads or os.cpu_count() or 1
    say(f"{scheduler.url}: {label.label()}, {count} threads, {project.cache}")
    worker.serve(scheduler.address, project.store, count, name)
    raise NodekilnError(f"{scheduler.url}: the scheduler ended this worker")
