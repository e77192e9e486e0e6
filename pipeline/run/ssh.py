"""Commands on a running node, by the user's own ssh client and its configuration.

A node's output is hostile: its size and its time are limited, and nothing of it is interpreted here.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import subprocess
import time
from typing import NamedTuple

from pipeline.host.terminal import printable
from pipeline.model.errors import BadInput, NodekilnError

VARIABLE = "NODEKILN_SSH"
"""Environment variable: the ssh client and its options, as shell words (default: ssh)."""
LARGEST_OUTPUT = 16 << 20
"""Maximum size of a command's output, in bytes: some hundred times the default node's report with its files."""
LARGEST_MESSAGE = 64 << 10
"""Maximum size of what ssh prints to standard error, in bytes."""
CONNECT_SECONDS = 30
"""Longest wait for a connection."""
COMMAND_SECONDS = 900
"""Longest run of a command, with its connection."""
PIECE = 1 << 16
LONGEST_ERROR = 300
"""Maximum number of characters of the node's or ssh's words in an error."""
URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})@)?(?:(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252})|\[(?P<six>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9]{1,15})?)\])(?::(?P<port>[0-9]{1,5}))?/?"
)
FAILED = 255
"""Exit code of ssh itself (ssh(1), "EXIT STATUS")."""
MISSING = (126, 127)
"""Exit codes of a shell for a program that is not there, or not one."""


class NotReached(NodekilnError):
    """A node that gives no answer."""


class Address(NamedTuple):
    """A node's address. user, port: "" and 0 leave it to ssh's configuration."""

    host: str
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' * bool(self.user)}{host}{f':{self.port}' * bool(self.port)}"

    def words(self) -> list[str]:
        """Returns the arguments of ssh that name the node."""
        return [
            *(["-l", self.user] if self.user else []),
            *(["-p", str(self.port)] if self.port else []),
            "--",
            self.host,
        ]


def parse(text: str) -> Address:
    """Reads ssh://[USER@]HOST[:PORT]. BadInput if it is not that."""
    found = URL.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else 0
    if not found or (found["port"] and not 0 < port < 1 << 16):
        raise BadInput(f"{text!r} is not the address of a node: use ssh://root@HOST or ssh://root@HOST:PORT")
    return Address(found["host"] or found["six"], found["user"] or "", port)


def run(address: Address, command: list[str], largest: int = LARGEST_OUTPUT, seconds: float = COMMAND_SECONDS) -> bytes:
    """Runs `command` on the node and returns what it printed. NotReached, with ssh's own reason, if there is no answer.

    Nothing is asked at the terminal: who needs a password or does not know the host's key gets ssh's error.
    """
    client = shlex.split(os.environ.get(VARIABLE, "")) or ["ssh"]
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "ClearAllForwardings=yes"]
    words = [*client, *options, *address.words(), shlex.join(command)]
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        raise NotReached(f"{client[0]}: {error.strerror}: install an ssh client, or name it in {VARIABLE}") from None
    deadline = time.monotonic() + seconds
    try:
        output, message = _communicate(process, address, largest, deadline)
        code = process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise NotReached(f"{address}: no answer in time") from None
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
    if code:
        raise NotReached(f"{address}: {_reason(code, command, message)}")
    return output


def _communicate(
    process: subprocess.Popen[bytes], address: Address, largest: int, deadline: float
) -> tuple[bytes, bytes]:
    """Reads standard output and error to their ends. NotReached for too much output, and after the deadline."""
    output, message = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, store in ((process.stdout, output), (process.stderr, message)):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ, store)
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:
                raise NotReached(f"{address}: no answer in time")
            for key, _ in ready:
                piece = os.read(key.fd, PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                key.data.extend(piece)
            del message[:-LARGEST_MESSAGE]
            if len(output) > largest:
                raise NotReached(f"{address}: the answer is larger than {largest} bytes")
    return bytes(output), bytes(message)


def _reason(code: int, command: list[str], message: bytes) -> str:
    """Returns why the command failed, in one printable line."""
    lines = message.decode(errors="replace").strip().splitlines()
    last = printable(lines[-1].strip())[:LONGEST_ERROR] if lines else ""
    if code == FAILED:
        return last or "ssh failed"
    if code in MISSING:
        return f"{shlex.join(command)} is not there: the node is older, or not nodekiln's"
    return f"exit code {code}{f': {last}' * bool(last)}"
