"""An executor of stages on the workers of a Dask scheduler (https://distributed.dask.org).

A stage is sent if it is worth the overhead and needs nothing of this host. It runs on a worker with the label of this
process, or here: what fails there is done here, so that workers may be slow, wrong or gone without harm. If a worker
dies, Dask itself runs its stages elsewhere.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from pipeline.engine.action import Call, run_locally
from pipeline.host import log
from pipeline.host.terminal import say
from pipeline.language import problem
from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.workers import travel
from pipeline.workers.durations import Durations
from pipeline.workers.label import label
from pipeline.workers.parcel import STAGE, WORKER, Outcome, Parcel

if TYPE_CHECKING:
    from distributed import Client, Future

OVERHEAD_SECONDS = 0.03
"""Upper bound of what it costs to run a stage on a worker, beside the stage."""
WORTHWHILE = 5
"""Least multiple of the overhead that a stage must take to be sent."""
LONGEST_SECONDS, LONGEST_FACTOR = 120.0, 20
"""Seconds that a stage may take on workers, their queue included, and the multiple of what it took before, if that is
more: then it is run here, too."""
LOOK_SECONDS = 0.25
"""Interval in which the scheduler is asked whether a worker has a stage."""
ANSWER_SECONDS = 2.0
"""Time in which the scheduler must answer that."""


HOST_STAGES = "HOST_STAGES"
"""Name, in a stage's module, of the tuple of its stages that open sockets or read the host: they run here."""


class Lost(Exception):
    """A stage came to nothing on the workers. The text says why, in a line; `again`: another worker may do it."""

    def __init__(self, text: str, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


class Workers:
    """An Executor. address: Dask's, `tls://HOST:PORT`. wait: seconds for which a stage may be without a worker.

    least: seconds that a stage must take to be sent.
    """

    def __init__(self, address: str, wait: float, least: float = OVERHEAD_SECONDS * WORTHWHILE) -> None:
        self._address, self._wait, self._least = address, wait, least
        self._guard = threading.Lock()
        self._durations = Durations()
        self._client: Client | None = None
        self._down = False
        """The scheduler could not be reached."""
        self._deserted = False
        """A stage has waited in vain: from now on workers must be there before a stage is sent."""
        self._sent: set[str] = set()
        """Content keys of the stages that workers have run: what of a result is lost since is made again here."""
        self._refused: dict[str, str] = {}
        """Address of a worker that failed, which gets no more stages -> why."""
        self._shown: set[str] = set()

    def __call__(self, store: Store, call: Call) -> Digest:
        seconds = self._durations.expected(store, call)
        if not _is_on_host(call) and (seconds is None or seconds >= self._least):
            result = self._remote(store, call, seconds or 0.0)
            if result is not None:
                return result
        started = time.perf_counter()
        result = run_locally(store, call)
        self._durations.add(call, time.perf_counter() - started)
        return result

    def _remote(self, store: Store, call: Call, seconds: float) -> Digest | None:
        """Returns the result of `call`, run on a worker; None if it has to be run here."""
        key = call.key
        with self._guard:
            if key in self._sent:
                return None
            self._sent.add(key)
        parcel = Parcel(label(), call, travel.needed(store, call.inputs))
        if not travel.give(store, parcel.blobs):
            self._warn("give", "the shared cache takes nothing that workers need: see NODEKILN_SHARED_PUSH")
            return None
        longest = max(LONGEST_SECONDS, seconds * LONGEST_FACTOR)
        for attempt in ("", "-again"):
            if (client := self._connected()) is None:
                return None
            try:
                return self._take(store, call, self._outcome(client, f"{_title(call)}-{key}{attempt}", parcel, longest))
            except Lost as error:
                log.info("workers: %s: %s", call.name, error)
                if not error.again:
                    return None
        return None

    def _take(self, store: Store, call: Call, outcome: Outcome) -> Digest:
        """Returns the result; repeats the stage's warnings. Lost if there is none."""
        if outcome.failure:
            if outcome.failure == WORKER:
                self._refused[outcome.worker] = outcome.text
                self._warn(outcome.worker, f"{outcome.worker} gets no more stages: {outcome.text}")
            raise Lost(f"{outcome.worker}: {outcome.text}", again=outcome.failure != STAGE)
        if outcome.result is None or not travel.take(store, outcome.blobs):
            self._refused[outcome.worker] = "its results are not here"
            self._warn(outcome.worker, f"{outcome.worker} gets no more stages: what it makes cannot be had here")
            raise Lost(f"{outcome.worker}: its result cannot be had", again=True)
        for path, message, hint in outcome.warnings:
            problem.warn(path, message, hint)
        self._durations.add(call, outcome.seconds)
        log.info("ran %s on %s in %.3f s", call.name, outcome.worker, outcome.seconds)
        return outcome.result

    def _outcome(self, client: Client, key: str, parcel: Parcel, longest: float) -> Outcome:
        """Sends `parcel` under Dask's name `key`, and returns the answer. Lost."""
        from pipeline.workers import worker

        resources = {parcel.label: 1}
        try:
            future = client.submit(
                worker.run, parcel.dump(), key=key, pure=False, resources=resources, workers=self._allowed(client)
            )
        except Exception as error:
            raise Lost(_described(error)) from None
        try:
            self._await(client, future, key, longest)
            return Outcome.load(future.result(ANSWER_SECONDS))
        except Lost:
            future.cancel()
            raise
        except Exception as error:  # of Dask: workers or the scheduler died
            self._warn(type(error).__name__, f"{_described(error)}: the stage runs here")
            raise Lost(_described(error)) from None
        finally:
            future.release()

    def _await(self, client: Client, future: Future[bytes], key: str, longest: float) -> None:
        """Waits until `future` is done. Lost."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        started = taken = time.monotonic()
        while not done.wait(LOOK_SECONDS):
            now = time.monotonic()
            if self._is_taken(client, key):
                taken = now
            elif now - taken > self._wait or self._deserted:
                self._deserted = True
                self._warn("deserted", f"no worker with the label {label()} within {self._wait:g} s: stages run here")
                raise Lost("no worker took it")
            if now - started > longest:
                self._warn("slow", f"a stage is not done after {longest:g} s: it runs here")
                raise Lost(f"not done after {longest:g} s")

    def _is_taken(self, client: Client, key: str) -> bool:
        """Returns whether a worker has the task `key`, or it is done."""
        try:
            state = _asked(client, "get_task_status", keys=[key]).get(key)
        except Exception as error:
            log.debug("workers: %s: %s", self._address, _described(error))
            return False
        return state in ("processing", "memory", "erred")

    def _allowed(self, client: Client) -> list[str] | None:
        """Returns the workers that may get a stage; None for all. Lost if there are none, and waiting is of no use."""
        if not (self._refused or self._deserted):
            return None
        known = _asked(client, "identity", n_workers=-1)["workers"]
        allowed = [address for address, worker in known.items() if label() in worker["resources"]]
        if good := [address for address in allowed if address not in self._refused]:
            self._deserted = False
            return good
        raise Lost("no worker is left")

    # the connection

    def _connected(self) -> Client | None:
        """Returns the connection to the scheduler, made once; None if there is none."""
        with self._guard:
            if self._client is None and not self._down:
                try:
                    self._client = _connect(self._address, self._wait)
                    log.info("workers: connected to %s as %s", self._address, label())
                except Exception as error:
                    self._down = True
                    self._warn("down", f"{_described(error)}: stages run here")
            client = self._client
        return client if client is not None and client.status == "running" else None

    def close(self) -> None:
        """Ends the connection. Later stages run here."""
        with self._guard:
            client, self._client, self._down = self._client, None, True
        if client is not None:
            client.close()

    def _warn(self, kind: str, text: str) -> None:
        """Prints a warning, the first of its kind."""
        if kind not in self._shown:
            self._shown.add(kind)
            say(f"warning: workers: {self._address}: {text}", error=True)


def _is_on_host(call: Call) -> bool:
    """Returns whether the stage opens sockets or reads the host: HOST_STAGES of its module has it."""
    module, _, name = call.stage.rpartition(".")
    return name in getattr(sys.modules.get(module), HOST_STAGES, ())


def _asked(client: Client, question: str, **arguments: object) -> Any:
    """Returns the scheduler's answer. An error of Dask if there is none in time."""
    return client.sync(getattr(client.scheduler, question), callback_timeout=ANSWER_SECONDS, **arguments)


def _title(call: Call) -> str:
    """Returns the stage's name in Dask, which keeps durations by it: what is before a hyphen."""
    return ".".join(call.stage.rsplit(".", 2)[-2:])


def _described(error: Exception) -> str:
    """Returns an error as one line."""
    if "scheduler-connection-lost" in str(error):  # with its name for the stage, and advice for people
        return "the connection to the scheduler is lost"
    return " ".join(str(error).split()) or type(error).__name__


def _connect(address: str, wait: float) -> Client:
    """Returns a connection to the scheduler at `address`. An error of Dask if there is none after `wait` seconds."""
    import logging
    import warnings

    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what fails is shown once, by _warn
    warnings.simplefilter("ignore", VersionMismatchWarning)  # of Python and packages: the label has what counts
    return Client(address, timeout=wait, set_as_default=False, name="nodekiln")
