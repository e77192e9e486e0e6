"""Sealed: JSON documents that carry a hash of themselves and of the name that they are kept under.

A document that was damaged, or that was kept under another name, is not read. It is no signature: whoever can write the
file can seal it, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline.model.digest import canonical_json

START = b'{"seal":"'
"""Beginning of every document; the hash, in hexadecimal, and MIDDLE follow."""
MIDDLE = b'",'
HEAD = len(START) + 64 + len(MIDDLE)
"""Length of what stands in front of the document's own members, in bytes."""


def dump(name: str, document: Mapping[str, Any]) -> bytes:
    """Returns the bytes to keep under `name`: `document`, a JSON object that is not empty, with a member `seal`."""
    body = canonical_json(document)
    return START + _seal(name, body) + MIDDLE + body[1:]


def load(name: str, unsafe_data: bytes) -> dict[str, Any] | None:
    """Returns the document that `dump` wrote for the same name, without its seal; None for any other bytes."""
    body = b"{" + unsafe_data[HEAD:]
    if unsafe_data[:HEAD] != START + _seal(name, body) + MIDDLE:
        return None
    document: dict[str, Any] = json.loads(body)
    return document


def _seal(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0" + body).hexdigest().encode()
