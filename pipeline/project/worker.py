"""Preload module of Dask: `dask worker ADDRESS --preload pipeline.project.worker` starts a worker that runs stages.

For deployments that start workers themselves (dask-jobqueue, dask-kubernetes); `doit worker` needs no preload.
"""

from __future__ import annotations

from pathlib import Path

from distributed import Worker

from pipeline.project.project import Project
from pipeline.workers.worker import Stages


async def dask_setup(worker: Worker) -> None:
    """Called by Dask while `worker` starts. Its store is that of the project in the working folder (NODEKILN_CACHE)."""
    await worker.plugin_add(Stages(Project(Path()).store), catch_errors=False)
