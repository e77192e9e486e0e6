"""JSON documents with a checksum of their contents and of the name that they are stored under.

A document that is damaged or stored under another name is not read. A checksum is not a signature: whoever can write
the file can also compute it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline.model.digest import canonical_json

START = b'{"seal":"'
"""Beginning of every document, followed by the hexadecimal checksum and MIDDLE."""
MIDDLE = b'",'
HEAD = len(START) + 64 + len(MIDDLE)
"""Length of the part before the document's own members, in bytes."""


def dump(name: str, document: Mapping[str, Any]) -> bytes:
    """Serialises `document`, a non-empty JSON object, for `name`, with the checksum in a member `seal`."""
    body = canonical_json(document)
    return START + _checksum(name, body) + MIDDLE + body[1:]


def load(name: str, unsafe_data: bytes) -> dict[str, Any] | None:
    """Returns a document that `dump` serialised for the same name; None for any other bytes."""
    body = b"{" + unsafe_data[HEAD:]
    if unsafe_data[:HEAD] != START + _checksum(name, body) + MIDDLE:
        return None
    document: dict[str, Any] = json.loads(body)
    return document


def _checksum(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0" + body).hexdigest().encode()
