"""Dask schedulers and workers as processes on loopback, started and ended by tests."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import patience
from tests.project import ROOT, declare

LINES = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class Process:
    """A process whose output is read until it shows that it is up."""

    def __init__(self, words: list[str], cwd: Path, **environment: str) -> None:
        self.running = subprocess.Popen(
            words, cwd=cwd, env={**LINES, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.output = b""

    def read_until(self, text: str) -> str:
        """Returns the output, once `text` is in it."""
        assert self.running.stdout is not None
        while text.encode() not in self.output:
            output = select.poll()
            output.register(self.running.stdout, select.POLLIN)
            ready = output.poll(1000 * patience.seconds(30))
            data = os.read(self.running.stdout.fileno(), 1 << 16) if ready else b""
            assert data, f"no {text!r} in {self.output.decode()}"
            self.output += data
        return self.output.decode()

    def end(self) -> None:
        self.running.kill()
        self.running.wait()
        assert self.running.stdout is not None
        self.running.stdout.close()


class Cluster:
    """A scheduler in the folder `place`, with workers that `add` starts. All end with `end`."""

    def __init__(self, place: Path, protocol: str = "tcp", **environment: str) -> None:
        self.place, self.environment = place, environment
        place.mkdir(parents=True, exist_ok=True)
        file = place / "scheduler.json"
        words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", f"{protocol}://127.0.0.1"]
        words += ["--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = Process(words, place, **environment)
        self.workers: list[Process] = []
        try:
            self.scheduler.read_until("Registering Worker plugin")
            self.address = json.loads(file.read_text())["address"]
        except BaseException:
            self.end()
            raise
        self.url = self.address.replace("tcp://", "dask://").replace("tls://", "dask+tls://")

    def add(self, *, store: Path | None = None, shell: list[str] | None = None, **environment: str) -> Process:
        """Starts a worker with a store of its own, or in the folder `store`."""
        folder = self.place / f"worker{len(self.workers)}"
        folder.mkdir()
        declare(folder)
        variables = {"NODEKILN_WORKERS": self.url, "NODEKILN_CACHE": str(store or folder / "cache")}
        words = [*(shell or ()), sys.executable, "-m", "doit", "worker", "--threads", "1", "--name", folder.name]
        self.workers.append(Process(words, folder, **{**self.environment, **variables, **environment}))
        return self.workers[-1]

    def ready(self) -> None:
        """Returns once the scheduler has all workers."""
        for number in range(len(self.workers)):
            self.scheduler.read_until(f"name: worker{number}")

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.end()


@contextmanager
def cluster(
    place: Path, workers: int, store: Path | None = None, protocol: str = "tcp", **environment: str
) -> Iterator[Cluster]:
    """Yields a scheduler with that many workers, which share the folder `store` if there is one."""
    made = Cluster(place, protocol, **environment)
    try:
        for _ in range(workers):
            made.add(store=store)
        made.ready()
        yield made
    finally:
        made.end()


def certificates(place: Path) -> Mapping[str, str]:
    """Makes an authority and one certificate of it for scheduler, workers and clients; returns Dask's variables."""
    from tests.judges import need

    def openssl(*words: str) -> None:
        subprocess.run([need("openssl"), *words], cwd=place, check=True, capture_output=True)

    place.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-subj", "/CN=workers", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key[:-2], "-subj", "/CN=node", "-keyout", "node.key", "-out", "node.csr")
    openssl("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-out", "node.pem")
    files = {"CA_FILE": "ca.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        files |= {f"{role}__CERT": "node.pem", f"{role}__KEY": "node.key"}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(place / file) for name, file in files.items()}
