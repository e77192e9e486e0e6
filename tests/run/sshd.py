"""A real sshd on loopback, whose sessions find programs of the test's own first."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests import patience
from tests.boot.machine import free_port
from tests.judges import need, run

START_SECONDS = 10


class Sshd(NamedTuple):
    """port: where it listens. client: value of NODEKILN_SSH for it. programs: folder of the programs that it runs."""

    port: int
    client: str
    programs: Path

    def program(self, name: str, text: str) -> None:
        """Makes a shell script a program of the sessions."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Sshd]:
    """An sshd that lets this user in by a key of its own."""
    programs, port = folder / "programs", free_port()
    programs.mkdir()
    for name in ("host", "user"):
        run(need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    client = {"IdentityFile": folder / "user", "IdentitiesOnly": "yes", "UserKnownHostsFile": folder / "known"}
    (folder / "client").write_text(_lines(client))
    server = {
        "ListenAddress": f"127.0.0.1:{port}", "HostKey": folder / "host", "AuthorizedKeysFile": folder / "user.pub",
        "StrictModes": "no", "PidFile": "none", "UsePAM": "no", "PermitRootLogin": "yes",
        "SetEnv": f"PATH={programs}:{os.environ['PATH']}",
    }  # fmt: skip
    (folder / "server").write_text(_lines(server))
    program = need("sshd", "openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "server")], stderr=log)
    try:
        _wait(process, port, folder / "log")
        yield Sshd(port, f"ssh -F {folder / 'client'}", programs)
    finally:
        process.terminate()
        process.wait()


def _lines(options: Mapping[str, object]) -> str:
    return "".join(f"{name} {value}\n" for name, value in options.items())


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until the server answers; AssertionError with its log if it does not."""
    end = time.monotonic() + patience.seconds(START_SECONDS)
    while process.poll() is None and time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
        except OSError:
            continue
    raise AssertionError(log.read_text())
