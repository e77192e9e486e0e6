"""Digest: the name of a piece of content; canonical_json: the bytes that are hashed when a value is named."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Self

LENGTHS = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


class InvalidDigest(ValueError):
    """A string that is not `algorithm:hex` with a known algorithm, lower-case hex and the right length."""


class Digest(str):
    """`sha256:<64 hex>` or `sha512:<128 hex>` (image-spec, descriptor.md, "Digests").

    Checked when it is parsed, so that later code may use it in a path or a URL as it stands.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, unsafe_text: object) -> Self:
        """Check `unsafe_text` and return it as a digest, or raise InvalidDigest."""
        if not is_digest(unsafe_text):
            raise InvalidDigest(f"not a digest: {str(unsafe_text)[:80]!r} (wanted sha256:<64 hex> or sha512:<128 hex>)")
        return cls(str(unsafe_text))

    @classmethod
    def of(cls, data: bytes | memoryview) -> Self:
        """The sha256 digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Self:
        """The sha256 digest of the bytes that `chunks` are, one after another."""
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        return cls("sha256:" + digest.hexdigest())

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]


def is_digest(unsafe_value: object) -> bool:
    """Returns whether `Digest.parse` accepts it."""
    return isinstance(unsafe_value, str) and _DIGEST.fullmatch(unsafe_value) is not None


def canonical_json(value: Any) -> bytes:
    """One spelling for a JSON value: sorted keys, no white space, ASCII. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
