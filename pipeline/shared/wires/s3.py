"""A bucket of S3, or of a server that has its interface (SeaweedFS, Ceph, MinIO, rclone), by obstore.

    s3://BUCKET/PREFIX?endpoint=https://s3.example&region=eu-central-1

PREFIX/ac/<key> is a statement, PREFIX/cas/<hex> a blob by its SHA-256. Credentials, region and endpoint come from
the library's own chain (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, web identity, instance metadata …), the query first.

Source: Amazon S3, "Conditional requests" (If-None-Match).
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.oci import hosts
from pipeline.oci.error import Refusal
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
    missing_extra,
    side_by_side,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3"
EXAMPLE = "s3://BUCKET/PREFIX"
EXTRA = "s3"

PART = 5 << 20
"""Size of a part of a large upload, in bytes: the smallest that S3 takes."""
PARTS = 4
"""Number of parts that are sent at once."""
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Environment: the server's URL, in the order in which the library looks."""
DAY = timedelta(days=1)
"""Time for a whole request: `limited` and the time-out of each read bound it."""

_CAUSE = re.compile(r"\n.*", re.DOTALL)
"""Debug output after the first line of an error."""


def connect(url: str, timeout: float) -> Bucket:
    """Returns the bucket at `url`, s3://BUCKET/PREFIX; nothing is connected yet. BadInput."""
    address = Address.parse(url, (SCHEME,), EXAMPLE, ("endpoint", "region"))
    if address.user or address.password:
        raise BadInput(f"{address.public}: a password in the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Bucket(address, timeout)


class Bucket:
    complete = False

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address.public
        self._address = address
        self._timeout = timeout
        self._guard = threading.Lock()
        self._stores: dict[bool, S3Store] = {}
        self._conditional = True

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = side_by_side(lambda key: (key, self._statement(key)), keys)
        return {key: statement for key, statement in found if statement is not None}

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        sizes = side_by_side(lambda blob: (blob, self._size(blob)), blobs)
        return {blob for blob, size in sizes if size != blobs[blob]}

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        try:
            with self._errors():
                stream = self._open().get(f"cas/{blob.hex}").stream(min_chunk_size=PIECE)
                yield from limited(map(bytes, stream), size, self._timeout, self.address)
        except FileNotFoundError:
            raise KeyError(blob) from None

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        with self._errors():
            store = self._open(size)
            if size <= PART:
                store.put(f"cas/{blob.hex}", source.read(size), use_multipart=False)
            else:
                store.put(f"cas/{blob.hex}", source, chunk_size=PART, max_concurrency=PARTS)

    def state(self, key: str, result: bytes) -> None:
        """Stores a statement. The first one stays, where the server can decide that."""
        with self._errors():
            from obstore.exceptions import AlreadyExistsError, NotSupportedError

            if self._conditional:
                try:
                    self._open(len(result)).put(f"ac/{key}", result, mode="create")
                    return
                except AlreadyExistsError:
                    return
                except (NotImplementedError, NotSupportedError):
                    self._conditional = False
            self._open(len(result)).put(f"ac/{key}", result)

    def close(self) -> None:
        with self._guard:
            self._stores.clear()

    def _statement(self, key: str) -> bytes | None:
        """Returns the statement of `key`; None without one, or for one that is too large."""
        try:
            with self._errors():
                answer = self._open().get(f"ac/{key}")
                return bytes(answer.bytes()) if answer.meta["size"] <= STATEMENT_LIMIT else None
        except FileNotFoundError:
            return None

    def _size(self, blob: Digest) -> int | None:
        try:
            with self._errors():
                return self._open().head(f"cas/{blob.hex}")["size"]
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Gives the library's errors, but FileNotFoundError, the form of a WireError."""
        try:
            from obstore.exceptions import BaseError
        except ImportError:
            raise missing_extra(self.address, EXTRA) from None
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise failure(self.address, _CAUSE.sub("", str(error))) from None

    def _open(self, size: int = 0) -> S3Store:
        """Returns the bucket to read from, or to write `size` bytes to: another time-out is another one. WireError.

        The time-out of an answer begins with the request, whose body it includes.
        """
        is_large = size > MIN_RATE
        with self._guard:
            if is_large not in self._stores:
                check_online(self.address)
                seconds = deadline(self._timeout, PARTS * PART) if is_large else self._timeout
                self._stores[is_large] = self._store(seconds)
            return self._stores[is_large]

    def _store(self, seconds: float) -> S3Store:
        from obstore.store import S3Store

        query, config = self._address.query, {}
        endpoint = query.get("endpoint") or next(filter(None, map(os.environ.get, ENDPOINTS)), "")
        if "endpoint" in query:
            config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
        if "region" in query:
            config["region"] = query["region"]
        options: Any = {
            "connect_timeout": timedelta(seconds=self._timeout),
            "read_timeout": timedelta(seconds=seconds),
            "timeout": DAY,
            "allow_http": self._allows_http(endpoint),
            "user_agent": "nodekiln",
        }
        retries: Any = {
            "max_retries": 1,
            "retry_timeout": timedelta(seconds=self._timeout),
            "backoff": {"init_backoff": timedelta(seconds=RETRY_SECONDS), "max_backoff": timedelta(seconds=seconds)},
        }
        return S3Store(
            self._address.netloc,
            prefix=self._address.path or None,
            config=config,  # type: ignore[arg-type]
            client_options=options,
            retry_config=retries,
        )

    def _allows_http(self, endpoint: str) -> bool:
        """Returns whether the endpoint is one of http. WireError for a host that is neither loopback nor allowed."""
        if not endpoint.startswith("http://"):
            return False
        try:
            hosts.check_secret(endpoint)
        except Refusal as error:
            raise failure(self.address, error) from None
        return True
