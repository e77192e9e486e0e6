"""A server of the Remote Execution API v2: BuildGrid, Buildbarn, bazel-remote, NativeLink, commercial ones.

    grpc://cache.example:9092/INSTANCE    grpcs:// with TLS

ContentAddressableStorage and ActionCache, and ByteStream for blobs that exceed a message. Messages are encoded field by
field (`protobuf`): no generated code.

Source: build/bazel/remote/execution/v2/remote_execution.proto; google/bytestream/bytestream.proto;
google/rpc/status.proto; gRPC proposal A6 (retries).
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.model.digest import Digest
from pipeline.oci import hosts
from pipeline.shared.address import Address
from pipeline.shared.protobuf import MalformedMessage, Message, field, optional
from pipeline.shared.transfer import PIECE, check_online, deadline, failure, limited, missing_extra, side_by_side

SCHEMES = ("grpc", "grpcs")
EXAMPLE = "grpcs://cache.example:9092/INSTANCE"
EXTRA = "grpc"

MESSAGE_LIMIT = 4 << 20
"""Maximum size of a message that servers take, in bytes (gRPC's default)."""
RECEIVE_LIMIT = 2 * MESSAGE_LIMIT
"""Maximum size of a message that is received, in bytes."""
SMALL = MESSAGE_LIMIT - (64 << 10)
"""Maximum size of a blob that travels within a message, in bytes; the rest is for the fields around it."""
WINDOW = 4 << 20
"""Number of bytes that one Read asks for, within one time-out."""
DIGESTS = 10_000
"""Maximum number of digests in one question; each takes some 75 bytes."""
KEY_SIZE = 64
"""Size in a key's digest, which is the key of a statement: that of its text, as the size of an Action is not known."""

OK, NOT_FOUND = 0, 5
"""Codes of google.rpc.Status."""

CAS = "/build.bazel.remote.execution.v2.ContentAddressableStorage/"
ACTION_CACHE = "/build.bazel.remote.execution.v2.ActionCache/"
BYTE_STREAM = "/google.bytestream.ByteStream/"

_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
"""gRPC's service config: one repetition, after the pause that the server names (grpc-retry-pushback-ms), if any."""


def connect(url: str, timeout: float) -> Instance:
    """Returns the instance at `url`, grpc(s)://HOST:PORT/INSTANCE; nothing is connected yet. BadInput."""
    return Instance(Address.parse(url, SCHEMES, EXAMPLE), timeout)


class Instance:
    """An instance of a server. `timeout` bounds each call, and each WINDOW of a large blob; `deadline` bounds a put."""

    complete = True

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address.public
        self._address = address
        self._timeout = timeout
        self._guard = threading.Lock()
        self._opened: Any = None
        self._metadata: tuple[tuple[str, str], ...] = ()

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = side_by_side(lambda key: (key, self._statement(key)), keys)
        return {key: statement for key, statement in found if statement is not None}

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        by_hex, result = {blob.hex: blob for blob in blobs}, set()
        encoded = [field(2, _digest(blob.hex, size)) for blob, size in blobs.items()]
        for start in range(0, len(encoded), DIGESTS):
            request = self._instance() + b"".join(encoded[start : start + DIGESTS])
            with self._errors():
                missing = self._call(CAS + "FindMissingBlobs", request).messages(2)
                result |= {by_hex[digest.text(1)] for digest in missing if digest.text(1) in by_hex}
        return result

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        pieces = [self._small(blob, size)] if size <= SMALL else self._windows(blob, size)
        yield from limited(pieces, size, self._timeout, self.address)

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        if size > SMALL:
            self._write(blob, size, source)
            return
        entry = field(1, _digest(blob.hex, size)) + optional(2, source.read(size))
        with self._errors():
            answer = self._call(CAS + "BatchUpdateBlobs", self._instance() + field(2, entry))
            self._expect_ok(answer.message(1).message(2), blob)

    def state(self, key: str, result: bytes) -> None:
        request = self._instance() + field(2, _digest(key, KEY_SIZE)) + field(3, result)
        with self._errors():
            self._call(ACTION_CACHE + "UpdateActionResult", request)

    def close(self) -> None:
        with self._guard:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    # calls

    def _statement(self, key: str) -> bytes | None:
        request = self._instance() + field(2, _digest(key, KEY_SIZE))
        try:
            with self._errors(key):
                return self._unary(ACTION_CACHE + "GetActionResult", request)
        except KeyError:
            return None

    def _small(self, blob: Digest, size: int) -> bytes:
        """Returns a blob that comes within a message. KeyError; WireError."""
        with self._errors(blob):
            request = self._instance() + field(2, _digest(blob.hex, size))
            answer = self._call(CAS + "BatchReadBlobs", request).message(1)
            if answer.message(3).integer(1) == NOT_FOUND:
                raise KeyError(blob)
            self._expect_ok(answer.message(3), blob)
            return answer.record(2)

    def _windows(self, blob: Digest, size: int) -> Iterator[bytes]:
        """Yields a large blob by reads of WINDOW bytes, so that a server that stops is noticed within a time-out."""
        offset, end = 0, False
        resource = field(1, "/".join(filter(None, (self._address.path, "blobs", blob.hex, str(size)))))
        while offset < size and not end:
            before = offset
            request = resource + optional(2, offset) + field(3, min(WINDOW, size - offset))
            with self._errors(blob):
                for answer in self._read(request):
                    data = Message.parse(answer).record(10)
                    offset += len(data)
                    yield data
            end = offset == before

    def _read(self, request: bytes) -> Iterator[bytes]:
        """Yields the messages of a Read; it is cancelled if the consumer ends."""
        method = self._channel().unary_stream(BYTE_STREAM + "Read")
        call = method(request, timeout=deadline(self._timeout, WINDOW), metadata=self._metadata)
        try:
            yield from call
        finally:
            call.cancel()

    def _write(self, blob: Digest, size: int, source: BinaryIO) -> None:
        resource = (self._address.path, "uploads", str(uuid.uuid4()), "blobs", blob.hex, str(size))
        name = field(1, "/".join(filter(None, resource)))

        def requests() -> Iterator[bytes]:
            offset = 0
            while offset < size:
                data = source.read(min(PIECE, size - offset))
                last = not data or offset + len(data) == size
                yield name + optional(2, offset) + optional(3, int(last)) + optional(10, data)
                if not data:
                    return
                offset += len(data)

        with self._errors():
            method = self._channel().stream_unary(BYTE_STREAM + "Write")
            answer = method(requests(), timeout=deadline(self._timeout, size), metadata=self._metadata)
            if (committed := Message.parse(answer).integer(1)) != size:
                raise failure(self.address, f"{blob}: {committed} of {size} bytes were stored")

    def _call(self, method: str, request: bytes) -> Message:
        return Message.parse(self._unary(method, request))

    def _unary(self, method: str, request: bytes) -> bytes:
        timeout = deadline(self._timeout, len(request))
        answer: bytes = self._channel().unary_unary(method)(request, timeout=timeout, metadata=self._metadata)
        return answer

    def _instance(self) -> bytes:
        return optional(1, self._address.path)

    def _expect_ok(self, status: Message, blob: Digest) -> None:
        """Raises the error of a google.rpc.Status. WireError."""
        if (code := status.integer(1)) != OK:
            raise failure(self.address, f"{blob}: {status.text(2) or 'no reason'} (code {code})")

    @contextlib.contextmanager
    def _errors(self, subject: str = "") -> Iterator[None]:
        """Gives gRPC's errors the form of a WireError; NOT_FOUND that of a KeyError if there is a `subject`."""
        try:
            import grpc
        except ImportError:
            raise missing_extra(self.address, EXTRA) from None
        try:
            yield
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if subject and code is grpc.StatusCode.NOT_FOUND:
                raise KeyError(subject) from None
            raise failure(self.address, f"{code.name}: {details}") from None
        except MalformedMessage as error:
            raise failure(self.address, f"an answer is not a message of the protocol: {error}") from None

    # connection

    def _channel(self) -> Any:
        """Returns the channel, which connects when it is first used. WireError."""
        with self._guard:
            if self._opened is None:
                check_online(self.address)
                authorization = self._address.authorization()
                self._metadata = (("authorization", authorization),) if authorization else ()
                self._opened = self._open()
            return self._opened

    def _open(self) -> Any:
        import grpc

        options = [
            ("grpc.max_receive_message_length", RECEIVE_LIMIT),
            ("grpc.service_config", json.dumps(_RETRIES)),
            ("grpc.primary_user_agent", "nodekiln"),
        ]
        if self._address.scheme == SCHEMES[0]:
            return grpc.insecure_channel(self._address.netloc, options)
        return grpc.secure_channel(self._address.netloc, self._credentials(), options)

    def _credentials(self) -> Any:
        """Returns TLS with the authorities and the client's certificate of this host, as for registries. WireError."""
        import grpc

        authorities, certificate = hosts.certificates(self._address.netloc)
        try:
            roots = Path(authorities).read_bytes() if isinstance(authorities, str) else None
            pair = [Path(file).read_bytes() for file in certificate or ()]
        except OSError as error:
            raise failure(self.address, f"{error.filename}: {error.strerror}") from None
        chain, key = pair or (None, None)
        return grpc.ssl_channel_credentials(roots, key, chain)


def _digest(key: str, size: int) -> bytes:
    """Returns a Digest message."""
    return field(1, key) + optional(2, size)
