"""A TPM 2.0 for a machine: swtpm(8), whose state is dropped when the machine ends."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import NamedTuple

PROGRAM = "swtpm"
"""The emulator, and Debian's package of it."""
DEVICES = {"amd64": "tpm-tis", "arm64": "tpm-tis-device"}
"""Architecture -> QEMU's device."""


class Tpm(NamedTuple):
    """A TPM, as QEMU takes it. inherited: the descriptors that `words` name."""

    words: list[str]
    inherited: list[int]


NONE = Tpm([], [])
"""The lack of a TPM."""


def installed() -> bool:
    """Returns whether the emulator is there."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def running(arch: str) -> Iterator[Tpm]:
    """A new TPM for one machine. It ends with the machine's connection, and at the latest with the context.

    Signals of the terminal do not reach it: the machine still writes its state when it is interrupted.
    """
    ours, theirs = socket.socketpair()
    with TemporaryDirectory(prefix="nodekiln-tpm-") as state, ours:
        with theirs:
            control = f"type=unixio,clientfd={theirs.fileno()}"
            words = [PROGRAM, "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", control, "--terminate"]
            process = subprocess.Popen(words, pass_fds=[theirs.fileno()], start_new_session=True)
        try:
            yield Tpm(_words(arch, ours.fileno()), [ours.fileno()])
        finally:
            process.kill()
            process.wait()


def _words(arch: str, descriptor: int) -> list[str]:
    device = ["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", f"{DEVICES[arch]},tpmdev=tpm"]
    return ["-chardev", f"socket,id=tpm,fd={descriptor}", *device]
