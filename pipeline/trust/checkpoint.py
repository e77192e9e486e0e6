"""Checkpoints: a log's signed statement of its size and root hash (C2SP tlog-checkpoint, signed-note)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.trust import keys
from pipeline.trust.document import decode_base64
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Log

LARGEST = 1 << 16
"""Maximum size of a checkpoint, in characters."""
SIGNATURES = 100
"""Maximum number of its signatures: the log's, and those of witnesses."""
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNATURE = re.compile(r"— ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})")


class Checkpoint(NamedTuple):
    """A checkpoint. size: number of entries."""

    origin: str
    size: int
    root_hash: bytes


def verify(unsafe_text: str, log: Log) -> Checkpoint:
    """Returns the checkpoint in `unsafe_text`, which `log` signed; else SignatureRefusal.

    Lines of other keys, as witnesses' and a second key's of the log, are passed over; their names and key hints are not
    those of `log`. The origin is the log's name, or starts with it and a space (Rekor v1 adds the id of a tree).
    """
    with about("checkpoint"):
        if len(unsafe_text) > LARGEST:
            raise SignatureRefusal(f"more than {LARGEST} characters")
        note, separator, tail = unsafe_text.rpartition("\n\n")
        lines = tail.split("\n")
        if not separator or lines.pop() or not 1 <= len(lines) <= SIGNATURES:
            raise SignatureRefusal("not a note with signatures")
        signatures = list(filter(None, [_own_signature(line, log) for line in lines]))
        if not signatures:
            raise SignatureRefusal(f"no signature of {log.origin}")
        key = keys.load(log.key)
        for signature in signatures:
            keys.verify(key, signature, f"{note}\n".encode())
        return _parse(note, log)


def _own_signature(line: str, log: Log) -> bytes | None:
    """Returns the signature of a line if it is one of the key of `log`; else None. SignatureRefusal if malformed."""
    match = _SIGNATURE.fullmatch(line)
    if not match:
        raise SignatureRefusal("a malformed line of a signature")
    data = decode_base64(match[2], "a signature")
    return data[4:] if match[1] == log.origin and data[:4] == log.key_hint else None


def _parse(note: str, log: Log) -> Checkpoint:
    origin, size, root_hash, *_ = [*note.split("\n"), "", "", ""]
    if origin != log.origin and not origin.startswith(f"{log.origin} "):
        raise SignatureRefusal(f"its origin is {origin[:80]!a}, not {log.origin}")
    if not _SIZE.fullmatch(size) or not root_hash:
        raise SignatureRefusal("no size, or no root hash")
    return Checkpoint(origin, int(size), decode_base64(root_hash, "the root hash"))
