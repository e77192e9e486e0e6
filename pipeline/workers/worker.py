"""The side of the worker: runs the stages that executors send, with a store of its own.

Worker and executor see the same blobs: in one folder that is the store of both, or in a cache beyond their stores, from
which a worker takes what inputs need, and to which it gives what a result needs before it answers.
"""

from __future__ import annotations

import time

from distributed import Worker, WorkerPlugin, get_worker

from pipeline.engine.action import run_locally
from pipeline.language.problem import collect_warnings
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.store import Missing, Store
from pipeline.workers import label as labels
from pipeline.workers import travel
from pipeline.workers.parcel import STAGE, WORKER, Outcome, Parcel

NAME = "nodekiln"
"""Name of the plug-in."""


def run(parcel: bytes) -> bytes:
    """Runs the call of `parcel` on the worker that Dask has chosen for it, and returns the Outcome. Raises nothing."""
    worker = get_worker()
    plugin = worker.plugins.get(NAME)
    if not isinstance(plugin, Stages):
        return Outcome(worker.address, failure=WORKER, text="it has the label without being nodekiln's worker").dump()
    return plugin.run(Parcel.load(parcel)).dump()


class Stages(WorkerPlugin):
    """Gives a worker of Dask the label, and runs stages with `store`."""

    name = NAME

    def __init__(self, store: Store) -> None:
        self._store = store
        self._label, self._state = labels.label(), labels.state()
        self._address = ""

    def setup(self, worker: Worker) -> None:
        """Called by Dask before `worker` makes itself known to the scheduler: as many stages at once as threads."""
        self._address = worker.address
        for resources in (worker.state.total_resources, worker.state.available_resources):
            resources[self._label] = worker.state.nthreads

    def run(self, parcel: Parcel) -> Outcome:
        """Runs a call. An error becomes a failure with its text."""
        if parcel.label != self._label:
            return self._failed(WORKER, f"its label is {self._label}, not {parcel.label}")
        if labels.state() != self._state:
            return self._failed(WORKER, "its code was changed after it had started: start it again")
        try:
            return self._outcome(parcel)
        except BadInput as error:
            return self._failed(STAGE, str(error))
        except Missing as error:
            return self._failed(WORKER, f"it cannot get {error.digest}: it has another store, and no cache with it")
        except Exception as error:
            return self._failed(WORKER, str(error) or type(error).__name__)

    def _outcome(self, parcel: Parcel) -> Outcome:
        if not travel.take(self._store, parcel.blobs):
            raise Missing(next(iter(parcel.blobs)))
        started = time.perf_counter()
        with collect_warnings() as warnings:
            result = run_locally(self._store, parcel.call)
        seconds = round(time.perf_counter() - started, 3)
        blobs = travel.needed(self._store, [result])
        if not travel.give(self._store, blobs):
            return self._failed(WORKER, "its shared cache takes nothing from it: see NODEKILN_SHARED_PUSH")
        return Outcome(self._address, result, blobs, seconds, tuple(warnings))

    def _failed(self, kind: str, text: str) -> Outcome:
        return Outcome(self._address, failure=kind, text=text)


def serve(address: str, store: Store, threads: int, name: str = "") -> None:
    """Runs a worker of the scheduler at `address` until that ends it. NodekilnError if it cannot be reached."""
    import asyncio
    import logging
    import warnings

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="distributed")  # of a host that is not found: the error follows
    asyncio.run(_serve(address, store, threads, name))


async def _serve(address: str, store: Store, threads: int, name: str) -> None:
    try:
        async with Worker(
            address, nthreads=threads, name=name or None, plugins=(Stages(store),), dashboard_address="127.0.0.1:0"
        ) as worker:
            await worker.finished()
    except (OSError, RuntimeError) as error:  # Dask wraps what kept a worker from starting
        raise NodekilnError(f"{address}: {error.__cause__ or error}") from None
