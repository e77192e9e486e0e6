"""A cache on loopback for tests: the two spaces of names over HTTP in memory, with faults to order."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator


class Cache(http.server.ThreadingHTTPServer):
    """files: path -> bytes. log: (method, path) of each request. rule: answers a request itself if it returns True."""

    daemon_threads = True
    request_queue_size = 128
    """Connections that wait to be accepted: with fewer, a client's threads wait a second for their second try."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self.rule: Callable[[Request], bool] = lambda request: False
        self.url = f"http://127.0.0.1:{self.server_port}"

    def names(self, space: str) -> list[str]:
        return sorted(path for path in self.files if path.startswith(f"/{space}/"))

    def count(self, method: str, space: str = "") -> int:
        return sum(verb == method and path.startswith(f"/{space}") for verb, path in self.log)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keeps quiet: clients that leave early are part of the tests."""


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cache

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY

    def do_GET(self) -> None:
        self.server.log.append((self.command, self.path))
        if self.server.rule(self):
            return
        data = self.server.files.get(self.path)
        self.answer(404 if data is None else 200, data or b"")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.server.log.append((self.command, self.path))
        if self.server.rule(self):
            return
        self.server.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201)

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def cache() -> Iterator[Cache]:
    server = Cache()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
