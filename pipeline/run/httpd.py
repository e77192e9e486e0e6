"""A small HTTP server for the files of one folder (RFC 9110): GET and HEAD, whole or a range, to many at once.

A requested name is looked up in the folder's listing and never becomes a path, so that it cannot lead out of it.
Only requests for an address of this server, or one of its names, are answered, which stops DNS rebinding: a web page
whose own name resolves to this machine. The number of connections and their idle time are limited.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, SHUT_RDWR, gethostname, socket
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

TIMEOUT = 60
"""Time limit for a client to take BUFFER bytes, in seconds."""
IDLE = 20
"""Time limit for a client's next request after its connection or its last answer, in seconds."""
CONNECTIONS = 64
"""Maximum number of connections. One more drops the one that has been idle longest; with none idle, it is refused."""
BUFFER = 1 << 18
"""Size of a read and a write, in bytes."""

_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?\])(?::[0-9]{0,5})?")
"""A Host header: a name or address, and a port (RFC 9110, 7.2)."""
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Server(ThreadingMixIn, TCPServer):
    """Serves the files of `folder` at `address` (host, port; port 0 for any that is free) once `serve_forever` runs.

    OSError if the address cannot be bound. log: called with a line for every request. names: of this server, besides
    addresses, `localhost` and the machine's own name.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        address: tuple[str, int],
        log: Callable[[str], object] = print,
        names: Iterable[str] = (),
    ) -> None:
        self.log = log
        self.names = frozenset(map(str.lower, ("localhost", gethostname(), address[0], *names)))
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self._guard = threading.Lock()
        self._open: set[socket] = set()
        self._idle: dict[socket, float] = {}
        super().__init__(address, partial(Handler, folder))

    @property
    def url(self) -> str:
        """The folder's URL, such as `http://127.0.0.1:8080/`."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}/" if self.address_family == AF_INET6 else f"http://{host!s}:{port}/"

    def is_named(self, unsafe_host: str | None) -> bool:
        """Returns whether a Host header (None: absent, as in HTTP/1.0) names this server."""
        if unsafe_host is None:
            return True
        match = _HOST.fullmatch(unsafe_host)
        return match is not None and (_is_address(match[1]) or match[1].lower().rstrip(".") in self.names)

    def idle(self, connection: socket) -> None:
        """Marks a connection as idle: answered, without another request."""
        with self._guard:
            self._idle[connection] = time.monotonic()

    def busy(self, connection: socket) -> None:
        """Marks a connection as busy with a request."""
        with self._guard:
            self._idle.pop(connection, None)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Returns whether there is room for one more connection; drops an idle one for it."""
        with self._guard:
            if len(self._open) >= CONNECTIONS and not self._drop_idle(0):
                self.log(f"{client_address[0]} refused: {CONNECTIONS} connections are at work")
                return False
            self._open.add(request)
            self._idle[request] = time.monotonic()
            return True

    def service_actions(self) -> None:
        """Drops connections that have been idle for IDLE seconds. Called periodically."""
        with self._guard:
            while self._drop_idle(IDLE):
                pass

    def _drop_idle(self, seconds: float) -> bool:
        """Ends the connection that has been idle longest, if for `seconds` or more; returns whether there was one."""
        connection = min(self._idle, key=self._idle.__getitem__, default=None)
        if connection is None or time.monotonic() - self._idle[connection] < seconds:
            return False
        del self._idle[connection]
        self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(SHUT_RDWR)
        return True

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
            self._idle.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """Logs a client that went away, or a file that cannot be read."""
        self.log(f"{client_address[0]} {sys.exception()!r}")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "nodekiln"
    sys_version = ""
    timeout = TIMEOUT
    server: Server

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.server.idle(self.connection)

    def _answer(self, body: bool) -> None:
        self.server.busy(self.connection)
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            self.send_error(HTTPStatus.BAD_REQUEST, "one Host is needed")
        elif not self.server.is_named(hosts[0] if hosts else None):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "not a name of this server: use its address, or --name")
        else:
            self._answer_file(body)

    def _answer_file(self, body: bool) -> None:
        unsafe_name = unquote(self.path.partition("?")[0]).removeprefix("/")
        names = files(self._folder)
        if not unsafe_name:
            self._send("text/plain; charset=utf-8", "".join(f"{quote(name)}\n" for name in names).encode(), body)
        elif unsafe_name in names:
            with open(self._folder / unsafe_name, "rb") as file:
                self._send_file(file, body)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, kind: str, data: bytes, body: bool) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _send_file(self, file: BinaryIO, body: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        wanted = parse_range(self.headers.get("Range", ""), size) if body else None
        if wanted is not None and not wanted:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        sent = range(size) if wanted is None else wanted
        self.send_response(HTTPStatus.OK if wanted is None else HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("Accept-Ranges", "bytes")
        if wanted is not None:
            self.send_header("Content-Range", f"bytes {sent.start}-{sent.stop - 1}/{size}")
        self.end_headers()
        if body:
            file.seek(sent.start)
            self.close_connection = copy(file, self.wfile, len(sent)) < len(sent)

    def log_message(self, format: str, *arguments: object) -> None:
        self.server.log(f"{self.client_address[0]} {(format % arguments).encode('unicode_escape').decode()}")


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text.strip("[]")))
    except ValueError:
        return False


def files(folder: Path) -> list[str]:
    """Returns the names of the regular files in `folder`, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.name[0] != ".")


def parse_range(unsafe_header: str, size: int) -> range | None:
    """Returns the bytes that a Range header requests of `size` bytes (RFC 9110, 14.1.2 and 14.2).

    None: all of them (no header, or one that may be ignored: several ranges, other units). Empty: unsatisfiable.
    """
    match = _RANGE.fullmatch(unsafe_header.replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    first, last = int(match[1]), int(match[2] or size)
    if match[2] and last < first:
        return None
    return range(first, min(last + 1, size))


def copy(source: BinaryIO, target: BufferedIOBase, count: int) -> int:
    """Copies up to `count` bytes; returns how many there were."""
    done = 0
    while done < count and (data := source.read(min(count - done, BUFFER))):
        target.write(data)
        done += len(data)
    return done
