"""The wire of bazel-remote, nginx with WebDAV and any other server with these two spaces of names:

    PREFIX/ac/<key>    a statement
    PREFIX/cas/<hex>   a blob by its SHA-256

GET, HEAD and PUT of HTTP/1.1 (RFC 9110, RFC 9112); https verifies the server's certificate. A redirect is an error.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, BinaryIO

from pipeline.model.digest import Digest
from pipeline.oci.http import retry_after
from pipeline.shared.address import Address
from pipeline.shared.transfer import (
    MIN_RATE,
    PIECE,
    RETRY_SECONDS,
    STATEMENT_LIMIT,
    check_online,
    deadline,
    failure,
    limited,
    side_by_side,
)
from pipeline.shared.wire import WireError

ABSENT = (404, 410)
"""Statuses of what a server does not have."""
STORED = (200, 201, 202, 204)
"""Statuses of what a server has stored."""
BUSY = (429, 503)
"""Statuses of a server that has no time now."""
DRAINED = 64 << 10
"""Maximum rest of an answer, in bytes, that is read to use its connection again."""


def connect(url: str, timeout: float) -> Http:
    """Returns the server at `url`: http(s)://HOST[:PORT][/PREFIX]. BadInput."""
    return Http(Address.parse(url, ("http", "https"), "https://HOST/PREFIX"), timeout)


class Http:
    """The server at `address`, whose answers must begin within `timeout` seconds."""

    complete = False

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address.public
        self._address, self._timeout = address, timeout
        self._prefix = f"/{address.path}" if address.path else ""
        self._idle: list[_Connection] = []
        self._guard = threading.Lock()
        self._headers: dict[str, str] | None = None

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = side_by_side(lambda key: (key, self._statement(key)), keys)
        return {key: data for key, data in found if data is not None}

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        return {
            blob for blob, there in side_by_side(lambda blob: (blob, self._has(blob, blobs[blob])), blobs) if not there
        }

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        with self._request("GET", f"cas/{blob.hex}", size) as response:
            if response.status in ABSENT:
                raise KeyError(blob)
            self._check(response, (200,))
            yield from limited(self._body(response), size, self._timeout, self.address)

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        with self._request("PUT", f"cas/{blob.hex}", size, source) as response:
            self._check(response, STORED)

    def state(self, key: str, result: bytes) -> None:
        with self._request("PUT", f"ac/{key}", len(result), io.BytesIO(result)) as response:
            self._check(response, STORED)

    def close(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _statement(self, key: str) -> bytes | None:
        with self._request("GET", f"ac/{key}", STATEMENT_LIMIT) as response:
            if response.status in ABSENT:
                return None
            self._check(response, (200,))
            data = b"".join(limited(self._body(response), STATEMENT_LIMIT, self._timeout, self.address))
        return data if len(data) <= STATEMENT_LIMIT else None

    def _has(self, blob: Digest, size: int) -> bool:
        """Returns whether the server has `blob`. Another size than `size` is a damaged blob, and no blob."""
        with self._request("HEAD", f"cas/{blob.hex}", 0) as response:
            if response.status in ABSENT:
                return False
            self._check(response, (200, 204))
            return response.headers.get("Content-Length", str(size)) == str(size)

    def _body(self, response: HTTPResponse) -> Iterator[bytes]:
        """Yields the body. WireError if it is shorter than its Content-Length."""
        while piece := response.read(PIECE):
            yield piece
        if response.length:
            raise failure(self.address, f"an answer ended {response.length} bytes early")

    def _check(self, response: HTTPResponse, expected: tuple[int, ...]) -> None:
        if response.status not in expected:
            raise failure(self.address, f"answers {response.status} {response.reason}")

    @contextlib.contextmanager
    def _request(self, method: str, name: str, size: int, body: BinaryIO | None = None) -> Iterator[HTTPResponse]:
        """Yields the answer to a request, of whose body or answer `size` bytes are the most. WireError."""
        check_online(self.address)
        connection, response = self._send(method, f"{self._prefix}/{name}", size, body)
        try:
            yield response
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._failure(error) from None
        except BaseException:
            connection.close()
            raise
        if response.isclosed() or (response.length is not None and response.length <= DRAINED):
            self._give_back(connection, response)
        else:
            connection.close()

    def _give_back(self, connection: _Connection, response: HTTPResponse) -> None:
        try:
            response.read()
        except (OSError, HTTPException):
            connection.close()
            return
        with self._guard:
            self._idle.append(connection)

    def _send(self, method: str, path: str, size: int, body: BinaryIO | None) -> tuple[_Connection, HTTPResponse]:
        """Returns the answer and its connection; a server that is busy is asked once more within the time-out."""
        end = time.monotonic() + self._timeout
        connection, response = self._send_once(method, path, size, body)
        if response.status in BUSY:
            wait = retry_after(response.headers.get("Retry-After", ""))
            wait = RETRY_SECONDS if wait is None else wait
            if time.monotonic() + wait < end:
                connection.close()
                time.sleep(wait)
                if body:
                    body.seek(0)
                connection, response = self._send_once(method, path, size, body)
        return connection, response

    def _send_once(self, method: str, path: str, size: int, body: BinaryIO | None) -> tuple[_Connection, HTTPResponse]:
        """Returns the answer and its connection. One that the server has ended meanwhile is replaced once."""
        headers = {**self._authorized(), "Content-Length": str(size)} if body else self._authorized()
        while True:
            with self._guard:
                connection = self._idle.pop() if self._idle else None
            is_new = connection is None
            connection = connection or self._connect()
            try:
                connection.limit(deadline(self._timeout, size if body else 0))
                connection.request(method, path, _pieces(body, connection), headers)
                return connection, connection.getresponse()
            except (OSError, HTTPException) as error:
                connection.close()
                if is_new or isinstance(error, TimeoutError):
                    raise self._failure(error) from None
                if body:
                    body.seek(0)

    def _connect(self) -> _Connection:
        if self._address.scheme == "https":
            return _SecureConnection(self._address.netloc, timeout=self._timeout)
        return _Connection(self._address.netloc, timeout=self._timeout)

    def _authorized(self) -> dict[str, str]:
        if self._headers is None:
            value = self._address.authorization()
            self._headers = {"Authorization": value} if value else {}
        return self._headers

    def _failure(self, error: Exception) -> WireError:
        if isinstance(error, TimeoutError):
            return failure(
                self.address, f"no answer in {self._timeout:g} seconds, or less than {MIN_RATE} bytes a second"
            )
        return failure(self.address, getattr(error, "strerror", None) or error or "the connection was ended")


class _Connection(HTTPConnection):
    """A connection that has a time for each request: what a slow server sends byte by byte counts, too."""

    end = 0.0

    def limit(self, seconds: float) -> None:
        """Gives all that follows `seconds`."""
        self.end = time.monotonic() + seconds

    def connect(self) -> None:
        super().connect()
        self.response_class = partial(_answer, self)  # type: ignore[assignment]

    def check(self) -> None:
        """Gives the socket the time that is left. TimeoutError."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock:
            self.sock.settimeout(left)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS; the certificate must be one of the system's for the host (HTTPSConnection's default)."""


def _answer(connection: _Connection, sock: socket.socket, **options: Any) -> HTTPResponse:
    return HTTPResponse(_Timed(sock, connection), **options)  # type: ignore[arg-type]


class _Timed(io.RawIOBase):
    """The socket of a connection, as an answer reads it: until the request's time is over."""

    def __init__(self, sock: socket.socket, connection: _Connection) -> None:
        self._sock, self._connection = sock, connection

    def makefile(self, mode: str) -> BinaryIO:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._connection.check()
        count = self._sock.recv_into(buffer)
        self._connection.end += count / MIN_RATE
        return count


def _pieces(body: BinaryIO | None, connection: _Connection) -> Iterator[bytes] | None:
    """Yields what is sent, within the time of its request."""
    if body is None:
        return None

    def read() -> Iterator[bytes]:
        while piece := body.read(PIECE):
            connection.check()
            yield piece

    return read()
