"""A machine that runs a node, for tests that talk to it: console, ssh, and the power button.

What a session on a machine came to is kept under the hash of everything that it was given, so that an unchanged image
is not booted twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from pipeline.run import qemu
from pipeline.run.httpd import Server
from tests import patience
from tests.formats.node import cache
from tests.judges import need

BOOT_SECONDS = 400
"""Longest wait for a booting machine, in seconds of a quiet host: ten times what software emulation needs."""
CONSOLE_END = 3000
"""Characters of the console that a failed wait shows."""
SSH_OPTIONS = (
    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=600",
)  # fmt: skip

Transcript = dict[str, str]


class Machine:
    """A running QEMU. `console` is all that it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, monitor: Path) -> None:
        self.process, self.port, self._monitor = process, port, monitor
        self.console = ""

    def wait_for(self, text: str, seconds: float = BOOT_SECONDS) -> None:
        """Reads the console until `text` is there; AssertionError with the console's end if it does not come."""
        assert self._read(lambda: text in self.console, seconds), self._failure(f"no {text!r}", seconds)

    def wait_for_the_end(self, seconds: float = BOOT_SECONDS) -> None:
        """Reads the console until the machine is off."""
        self._read(lambda: False, seconds)
        try:
            self.process.wait(patience.seconds(10))
        except subprocess.TimeoutExpired:
            raise AssertionError(self._failure("the machine does not power off", seconds)) from None
        assert self.process.returncode == 0, self._failure(f"QEMU gave {self.process.returncode}", seconds)

    def _failure(self, what: str, seconds: float) -> str:
        end = self.console[-CONSOLE_END:]
        return f"{what} after up to {patience.seconds(seconds):.0f} s; last on the console:\n{end}"

    def _read(self, done: Callable[[], bool], seconds: float) -> bool:
        """Reads the console until `done` returns true, or for `seconds` of a quiet host. Returns whether it did."""
        assert self.process.stdout is not None
        end = time.monotonic() + patience.seconds(seconds)
        console = select.poll()
        console.register(self.process.stdout, select.POLLIN)
        while not done():
            ready = console.poll(1000 * max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                return False
            self.console += data.decode(errors="replace")
        return True

    def wait_for_ssh(self, seconds: float = BOOT_SECONDS) -> None:
        """Waits until sshd greets; it makes its host keys first."""
        end = time.monotonic() + patience.seconds(seconds)
        while not self._greeted():
            self._read(lambda: False, 1 / patience.factor())
            assert time.monotonic() < end, self._failure("no sshd", seconds)

    def _greeted(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), patience.seconds(10)) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def ssh(self, key: Path, command: str) -> str:
        """Returns what `command` prints on the node, as root."""
        words = [need("ssh", "openssh-client"), *SSH_OPTIONS, "-i", str(key), "-p", str(self.port), "root@127.0.0.1"]
        limit = patience.seconds(BOOT_SECONDS)
        try:
            done = subprocess.run([*words, command], capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(self._failure(f"{command}: no end, {late.stdout!r}", BOOT_SECONDS)) from None
        failure = f"{command}: {done.returncode} {done.stdout} {done.stderr}"
        assert done.returncode == 0, self._failure(failure, BOOT_SECONDS)
        return done.stdout

    def press_power_button(self) -> None:
        prompt = b"(qemu) "
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            said = b""
            for command in (b"system_powerdown\n", b""):  # it is done when the next prompt is there
                while prompt not in said:
                    said += monitor.recv(4096)
                said = said.partition(prompt)[2]
                monitor.sendall(command)


@contextmanager
def running(
    folder: Path, *words: str, network: str = "", arch: str = "amd64", inherited: Sequence[int] = ()
) -> Iterator[Machine]:
    """A machine with what `words` say (a disk, or a kernel); `network` are more options of QEMU's user network.

    inherited: descriptors that `words` name.
    """
    port, monitor = free_port(), folder / "monitor"
    need(qemu.EMULATORS[arch].program, qemu.EMULATORS[arch].packages.split()[0])
    command = [
        *qemu.machine(arch, "tcg"), "-serial", "stdio", "-monitor", f"unix:{monitor},server=on,wait=off",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22{network}", "-device", "virtio-net-pci,netdev=net",
        *words,
    ]  # fmt: skip
    with started(command, port, monitor, inherited) as machine:
        yield machine


@contextmanager
def started(
    command: list[str], port: int = 0, monitor: Path = Path(), inherited: Sequence[int] = ()
) -> Iterator[Machine]:
    """The machine that `command` runs, its console on standard output.

    port: that of ssh. monitor: its socket. inherited: descriptors that `command` names.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=inherited
    )
    try:
        yield Machine(process, port, monitor)
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """The files of `folder` over HTTP, as `doit serve` does it: the port, and what is asked for meanwhile."""
    asked: list[str] = []
    with Server(folder, ("127.0.0.1", 0), asked.append) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def once(name: str, inputs: list[Path], session: Callable[[], Transcript]) -> Transcript:
    """What `session` returns; remembered for these inputs' bytes, and for this and the test's module as they are."""
    key = hashlib.sha256(name.encode())
    for path in [*inputs, Path(__file__), Path(session.__code__.co_filename)]:
        with path.open("rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    kept = cache() / "nodes" / key.hexdigest()
    if not kept.exists():
        transcript = session()
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_text(json.dumps(transcript))
        partial.rename(kept)
    found: Transcript = json.loads(kept.read_text())
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
