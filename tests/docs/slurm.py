"""Slurm on this machine: Debian's munged, slurmctld and slurmd, with a configuration and ports of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests import patience
from tests.judges import need, run
from tests.oci import servers

SECONDS = 60
"""In which a daemon must come up, and an array of small jobs end."""
NODE = "localhost"
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=1
MinJobAge=86400
NodeName={node} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm(NamedTuple):
    """A Slurm of one node. environment: what its commands need, and what jobs inherit."""

    environment: Mapping[str, str]

    def __call__(self, *words: object, **environment: str) -> str:
        """Runs one of Slurm's commands, and returns its output."""
        return run(need(str(words[0]), "slurm-client"), *words[1:], env={**self.environment, **environment}).stdout

    def states(self, job: str) -> dict[str, str]:
        """Returns the states of the tasks of the array `job`, by their numbers."""
        lines = self("squeue", "--array", "--noheader", "--states=all", f"--job={job}", "--format=%K %T").splitlines()
        return dict(line.split() for line in lines)


@contextlib.contextmanager
def running(folder: Path, **environment: str) -> Iterator[Slurm]:
    """Yields a Slurm with its files in `folder`, and ends it. environment: what jobs inherit."""
    for name in ("munged", "slurmctld", "slurmd"):
        need(name, name.removesuffix("d") if name == "munged" else name)
    with contextlib.ExitStack() as sockets:
        listeners = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        controller, daemon = (listener.getsockname()[1] for listener in listeners)
    for name in ("spool", "state"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(node=NODE, controller=controller, daemon=daemon, folder=folder))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    slurm = Slurm({"SLURM_CONF": str(configuration), **environment})
    munge = [f"--{name}={folder}/munge{ending}" for name, ending in (
        ("key-file", ".key"), ("socket", ".socket"), ("log-file", ".log"), ("pid-file", ".pid"), ("seed-file", ".seed"),
    )]  # fmt: skip
    with contextlib.ExitStack() as daemons:
        daemons.enter_context(_daemon(folder, slurm, "munged", "--foreground", "--force", *munge))
        until((folder / "munge.socket").exists)
        daemons.enter_context(_daemon(folder, slurm, "slurmctld", "-D", "-f", configuration))
        daemons.enter_context(_daemon(folder, slurm, "slurmd", "-D", "-f", configuration, "-N", NODE))
        until(lambda: slurm_is_up(slurm))
        try:
            yield slurm
        finally:
            slurm("scancel", "--full", "--user=root")
            until(lambda: not slurm("squeue", "--noheader"))


def slurm_is_up(slurm: Slurm) -> bool:
    """Returns whether the node waits for jobs."""
    with contextlib.suppress(AssertionError):
        return "idle" in slurm("sinfo", "--noheader", "--format=%T")
    return False


def until(condition: Callable[[], object]) -> None:
    """Returns when `condition` holds, which other processes bring about."""
    limit = time.monotonic() + patience.seconds(SECONDS)
    while not condition():
        assert time.monotonic() < limit, "it takes too long"
        time.sleep(0.05)


@contextlib.contextmanager
def _daemon(folder: Path, slurm: Slurm, name: str, *words: object) -> Iterator[None]:
    with open(folder / f"{name}.out", "wb") as out:
        command = [need(name), *map(str, words)]
        process = subprocess.Popen(command, env={**os.environ, **slurm.environment}, stdout=out, stderr=out)
    try:
        yield
    finally:
        servers.end(process)
