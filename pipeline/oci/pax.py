"""The records of an extended tar header (pax(1), "pax Extended Header"), with GNU's and star's additions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.model.tree import Xattrs
from pipeline.oci.error import Refusal
from pipeline.oci.tar_fields import decode

Records = list[tuple[bytes, bytes]]

XATTR_LIMIT = 1 << 16
"""Maximum size of an extended attribute's value, in bytes (Linux: XATTR_SIZE_MAX)."""
XATTR_NAME_LIMIT = 255
"""Maximum length of its name, in bytes (Linux: XATTR_NAME_MAX)."""

_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_SIGNIFICANT = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime")
_TIME = re.compile(rb"(-?)([0-9]{1,15})(?:\.([0-9]{0,30}))?")


class ExtendedHeader(NamedTuple):
    """The fields of a member that an extended header states; None for those that it does not."""

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
    """Parses the records `length key=value newline` in `body`, in order. Refusal."""
    records: Records = []
    start = 0
    while start < len(body):
        space = body.find(b" ", start, start + 8)
        digits = body[start:space]
        if space < 0 or not digits.isdigit():
            if not body[start:].strip(b"\0"):
                break
            raise Refusal(f"an extended header whose record at byte {start} has no length")
        stop = start + int(digits)
        key, equals, value = body[space + 1 : stop - 1].partition(b"=")
        whole = space + 1 < stop <= len(body) and body[stop - 1 : stop] == b"\n"
        if not whole or not key or not equals or b"\0" in key:
            raise Refusal(f"an extended header whose record at byte {start} is malformed")
        records.append((key, value))
        start = stop
    return records


def check_global(records: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuses significant records in a global header: container tools ignore it, tar programs obey it."""
    for key, _ in records:
        if key in _SIGNIFICANT or key.startswith((b"GNU.sparse.", _SCHILY, _LIBARCHIVE)):
            raise Refusal(f"a global header that sets {key.decode(errors='replace')}, which readers treat differently")


def header(records: Records) -> ExtendedHeader:
    """Interprets one member's records. The last of equal keys counts; an empty value means that it is not stated."""
    values = dict(records)
    path, target = values.get(b"path") or None, values.get(b"linkpath") or None
    if b"\0" in (path or b"") or b"\0" in (target or b""):
        raise Refusal(f"a name with a NUL in it: {(path or target or b'')[:200]!r}")
    sparse = [(key, value) for key, value in records if key.startswith(b"GNU.sparse.")]
    return ExtendedHeader(
        path,
        target,
        integer(values, b"size"),
        integer(values, b"uid"),
        integer(values, b"gid"),
        _seconds(values[b"mtime"]) if values.get(b"mtime") else None,
        _xattrs(values),
        sparse,
        decode(dict(sparse).get(b"GNU.sparse.name", b"")),
    )


def integer(values: dict[bytes, bytes], key: bytes) -> int | None:
    value = values.get(key)
    return decimal(value, key) if value else None


def decimal(text: bytes, key: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise Refusal(f"{key.decode(errors='replace')}: {text[:40]!r} is not a number")
    return int(text)


def _seconds(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if not match:
        raise Refusal(f"mtime {text[:40]!r} is not a time")
    sign, whole, fraction = match.groups()
    return -int(whole) - bool((fraction or b"").strip(b"0")) if sign else int(whole)


def _xattrs(values: dict[bytes, bytes]) -> Xattrs:
    xattrs: dict[str, bytes] = {}
    for key, value in values.items():
        if key.startswith(_LIBARCHIVE):
            name, value = _libarchive(key, value)
            if _SCHILY + name in values:
                continue
        elif key.startswith(_SCHILY):
            name = key[len(_SCHILY) :]
        else:
            continue
        if not 0 < len(name) <= XATTR_NAME_LIMIT or len(value) > XATTR_LIMIT:
            raise Refusal(f"extended attribute {name[:80]!r} of {len(value)} bytes is beyond Linux's limits")
        xattrs[decode(name)] = value
    return tuple(sorted(xattrs.items()))


def _libarchive(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Decodes libarchive's notation: the name as in a URL, the value in base64 without padding."""
    import base64
    import binascii
    from urllib.parse import unquote_to_bytes

    padded = value + b"=" * (-len(value) % 4)
    try:
        return unquote_to_bytes(key[len(_LIBARCHIVE) :]), base64.b64decode(padded, validate=True)
    except binascii.Error:
        raise Refusal(f"{key[:80]!r}: not base64") from None
