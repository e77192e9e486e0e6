"""PAX: the records of an extended tar header (pax(1), "pax Extended Header"), with GNU's and star's additions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.model.tree import Xattrs
from pipeline.oci.error import Refusal

Records = list[tuple[bytes, bytes]]

XATTR_LIMIT = 1 << 16
"""Bytes of an extended attribute's value (Linux: XATTR_SIZE_MAX)."""
XATTR_NAME_LIMIT = 255
"""Bytes of its name (Linux: XATTR_NAME_MAX)."""

_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_DECIDING = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime")
_TIME = re.compile(rb"(-?)([0-9]{1,15})(?:\.([0-9]{0,30}))?")


class Described(NamedTuple):
    """What an extended header says about its entry; None where it is silent."""

    path: bytes | None
    target: bytes | None
    size: int | None
    uid: int | None
    gid: int | None
    mtime: int | None
    """Whole seconds, rounded down."""
    xattrs: Xattrs
    sparse: Records
    sparse_name: str


def parse(body: bytes) -> Records:
    """The records `length key=value newline` in `body`, in order; Refusal if one of them is malformed."""
    records: Records = []
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 8)
        digits = body[at:space]
        if space < 0 or not digits.isdigit():
            if not body[at:].strip(b"\0"):
                break
            raise Refusal(f"an extended header whose record at byte {at} has no length")
        stop = at + int(digits)
        key, equals, value = body[space + 1 : stop - 1].partition(b"=")
        whole = space + 1 < stop <= len(body) and body[stop - 1 : stop] == b"\n"
        if not whole or not key or not equals or b"\0" in key:
            raise Refusal(f"an extended header whose record at byte {at} is malformed")
        records.append((key, value))
        at = stop
    return records


def check_global(records: Iterable[tuple[bytes, bytes]]) -> None:
    """Container tools ignore global headers, tar programs obey them: only what changes nothing may stand there."""
    for key, _ in records:
        if key in _DECIDING or key.startswith((b"GNU.sparse.", _SCHILY, _LIBARCHIVE)):
            raise Refusal(f"a global header that sets {key.decode(errors='replace')}, which readers treat differently")


def describe(records: Records) -> Described:
    """The meaning of one entry's records; of those that come twice the last one counts, an empty one means none."""
    said = dict(records)
    path, target = said.get(b"path") or None, said.get(b"linkpath") or None
    if b"\0" in (path or b"") or b"\0" in (target or b""):
        raise Refusal(f"a name with a NUL in it: {(path or target or b'')[:200]!r}")
    sparse = [(key, value) for key, value in records if key.startswith(b"GNU.sparse.")]
    name = dict(sparse).get(b"GNU.sparse.name", b"")
    return Described(
        path,
        target,
        integer(said, b"size"),
        integer(said, b"uid"),
        integer(said, b"gid"),
        _seconds(said[b"mtime"]) if said.get(b"mtime") else None,
        _xattrs(said),
        sparse,
        name.decode("utf-8", "surrogateescape"),
    )


def integer(said: dict[bytes, bytes], key: bytes) -> int | None:
    value = said.get(key)
    return decimal(value, key) if value else None


def decimal(text: bytes, key: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise Refusal(f"{key.decode(errors='replace')}: {text[:40]!r} is no number")
    return int(text)


def _seconds(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if not match:
        raise Refusal(f"mtime {text[:40]!r} is no time")
    sign, whole, fraction = match.groups()
    return -int(whole) - bool((fraction or b"").strip(b"0")) if sign else int(whole)


def _xattrs(said: dict[bytes, bytes]) -> Xattrs:
    found: dict[str, bytes] = {}
    for key, value in said.items():
        if key.startswith(_LIBARCHIVE):
            name, value = _libarchive(key, value)
            if _SCHILY + name in said:
                continue
        elif key.startswith(_SCHILY):
            name = key[len(_SCHILY) :]
        else:
            continue
        if not 0 < len(name) <= XATTR_NAME_LIMIT or len(value) > XATTR_LIMIT:
            raise Refusal(f"extended attribute {name[:80]!r} of {len(value)} bytes is beyond Linux's limits")
        found[name.decode("utf-8", "surrogateescape")] = value
    return tuple(sorted(found.items()))


def _libarchive(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """libarchive's spelling: the name as in a URL, the value in base64 without padding."""
    import base64
    import binascii
    from urllib.parse import unquote_to_bytes

    padded = value + b"=" * (-len(value) % 4)
    try:
        return unquote_to_bytes(key[len(_LIBARCHIVE) :]), base64.b64decode(padded, validate=True)
    except binascii.Error:
        raise Refusal(f"{key[:80]!r}: not base64") from None
