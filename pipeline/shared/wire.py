"""The interface of a wire: one server or folder that keeps blobs by their SHA-256 and statements by a key.

A wire moves bytes and believes nothing: who calls it verifies each blob's sum and each statement's signature. A wire is
one module of `pipeline.shared.wires`, named after its scheme (https is http, grpcs is grpc, a path is folder). Its
function `connect(url, timeout)` returns the wire, which opens nothing before its first call: `url` as configured,
`timeout` the seconds that a request may take before its answer begins. BadInput if `url` is not one. All methods may be
called from several threads at once.

Source of the two spaces: bazel-remote's HTTP interface (/ac/<key>, /cas/<sha256>) and the Remote Execution API v2
(ActionCache, ContentAddressableStorage).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, Protocol

from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError


class WireError(NodekilnError):
    """The server cannot be reached, is too slow, refuses, or answers against its protocol; one line, no secrets."""


class Wire(Protocol):
    """address: the configured URL without its password, for messages.

    complete: whether the server answers a statement only while it has all blobs of its ActionResult (REAPI's
    completeness check), so that `absent` need not be asked.
    """

    address: str
    complete: bool

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Returns key -> ActionResult (protobuf, unverified) of those of `keys` (SHA-256, hex) that it has."""

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        """Returns those of `blobs` (digest -> size in bytes) that the server does not have. WireError."""

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        """Yields the bytes (unverified) of `blob`, piece by piece. KeyError if the server has none; WireError.

        At most `size` bytes and one piece more are yielded, whatever the server sends.
        """

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        """Stores the `size` bytes of `source` as `blob`. WireError."""

    def state(self, key: str, result: bytes) -> None:
        """Stores the ActionResult `result` (protobuf) under `key`. WireError."""

    def close(self) -> None:
        """Ends all connections."""
