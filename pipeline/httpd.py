"""A small HTTP server for the files of one folder (RFC 9110): GET and HEAD, whole or a range, to many at once.

A name that is asked for is looked up among those that the folder has; none becomes a path, so none leads out of it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path
from socket import AF_INET, AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from typing import BinaryIO
from urllib.parse import quote, unquote

TIMEOUT = 60
"""Seconds without a word from a client, after which its connection is dropped."""
BUFFER = 1 << 18
"""Bytes that are sent at a time."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Server(ThreadingMixIn, TCPServer):
    """Serves the files of `folder` at `address` (host, port; port 0 for any that is free) once `serve_forever` runs.

    OSError where the address cannot be had. log: is called with a line for every request.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, folder: Path, address: tuple[str, int], log: Callable[[str], object] = print) -> None:
        self.log = log
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, partial(Handler, folder))

    @property
    def url(self) -> str:
        """Where the folder is: `http://127.0.0.1:8080/`."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}/" if self.address_family == AF_INET6 else f"http://{host!s}:{port}/"

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """A client that went away (or a file that cannot be read) is a line, and the next one is served."""
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

    def _answer(self, body: bool) -> None:
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
        asked = requested(self.headers.get("Range", ""), size) if body else None
        if asked is not None and not asked:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        part = range(size) if asked is None else asked
        self.send_response(HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if asked is not None:
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        self.end_headers()
        if body:
            file.seek(part.start)
            self.close_connection = copy(file, self.wfile, len(part)) < len(part)

    def log_message(self, format: str, *arguments: object) -> None:
        self.server.log(f"{self.client_address[0]} {(format % arguments).encode('unicode_escape').decode()}")


def files(folder: Path) -> list[str]:
    """The names of the plain files in `folder`, in order; what starts with a dot is not meant for others."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.name[0] != ".")


def requested(unsafe_header: str, size: int) -> range | None:
    """The bytes that a Range header asks for of `size`; None for all (no header, or one that may be ignored: several
    ranges, other units), an empty range for none that there are (RFC 9110, 14.1.2 and 14.2)."""
    found = _RANGE.fullmatch(unsafe_header.replace(" ", ""))
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    first, last = int(found[1]), int(found[2] or size)
    if found[2] and last < first:
        return None
    return range(first, min(last + 1, size))


def copy(source: BinaryIO, target: BufferedIOBase, count: int) -> int:
    """Copy `count` bytes, or what there is of them; returns how many."""
    done = 0
    while done < count and (data := source.read(min(count - done, BUFFER))):
        target.write(data)
        done += len(data)
    return done
