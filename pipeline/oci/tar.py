"""An index of a tar archive, made in one pass over its headers. No data is copied, nothing is ever extracted.

POSIX ustar and PAX (pax(1), "pax Interchange Format"), GNU long names, base-256 numbers and sparse files (GNU tar
manual, "Tar Internals"), V7. An archive that readers are known to disagree about is refused, so that the content that
a scanner saw is the content that is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from pipeline.model.tree import Content, Slice, Xattrs, cut
from pipeline.oci import pax, sparse
from pipeline.oci.config import HIGHEST_ID
from pipeline.oci.error import Refusal
from pipeline.oci.sparse import Buffer, Extents
from pipeline.oci.tar_fields import blocks, decode, number, text

BLOCK = 512
RECORDS_LIMIT = 1 << 20
"""Maximum size of an extended header or long name, in bytes; Go's reader has the same limit."""


class Member(NamedTuple):
    """An entry of an archive, as it states; its path and target are not to be trusted."""

    path: str
    kind: str
    """"f" file, "d" directory, "l" symlink, "h" hard link, "c", "b" devices, "p" FIFO."""
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs
    target: str
    major: int
    minor: int
    extents: Extents


_KINDS = {0x00: "f", 0x30: "f", 0x37: "f", 0x31: "h", 0x32: "l", 0x33: "c", 0x34: "b", 0x35: "d", 0x36: "p", 0x53: "f"}
_SPARSE, _PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET = b"SxgLK"
_ZERO = bytes(BLOCK)


@dataclass(slots=True)
class _Extensions:
    """The headers that precede a member and extend its own."""

    name: bytes | None = None
    target: bytes | None = None
    records: pax.Records | None = None


def members(buffer: Buffer) -> Iterator[Member]:
    """Yields the entries of the archive in `buffer`, in its order. Refusal names the byte or entry that is wrong."""
    position, end = 0, len(buffer)
    extensions: _Extensions | None = None
    while position < end:
        header = buffer[position : position + BLOCK]
        if header == _ZERO:
            break
        if len(header) < BLOCK or not _has_valid_checksum(header):
            raise Refusal(f"no tar header at byte {position}")
        flag, data = header[156], position + BLOCK
        if flag not in _KINDS:
            extensions, position = _extend(buffer, header, data, extensions or _Extensions())
            continue
        if extensions is None and flag != _SPARSE:
            member, position = _plain_member(header, data, end)
        else:
            member, position = _extended_member(buffer, header, data, extensions or _Extensions())
            extensions = None
        yield member
    if extensions is not None:
        raise Refusal("the archive ends between an extended header and its entry")


def slicer(content: Content) -> Callable[[Extents], Content]:
    """Returns a function that turns extents of the archive `content` into content."""
    if len(content) == 1 and content[0].blob is not None:
        blob, base, _ = content[0]

        def slices(extents: Extents) -> Content:
            return tuple([Slice(None, 0, size) if at < 0 else Slice(blob, base + at, size) for at, size in extents])

    else:

        def slices(extents: Extents) -> Content:
            result: list[Slice] = []
            for at, size in extents:
                result += (Slice(None, 0, size),) if at < 0 else cut(content, at, size)
            return tuple(result)

    return slices


def _has_valid_checksum(header: bytes) -> bool:
    """Sums all bytes, the checksum's own as spaces. Adler-32's low half is such a sum, plus 1, up to 256 bytes."""
    total = (
        (adler32(header[:148]) & 0xFFFF)
        + (adler32(header[156:412]) & 0xFFFF)
        + (adler32(header[412:]) & 0xFFFF)
        + (8 * 32 - 3)
    )
    try:
        checksum = number(header[148:156])
    except Refusal:
        return False
    # Some old writers added signed bytes.
    return checksum == total or checksum == total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])


@lru_cache(4096)
def _numbers(fields: bytes) -> tuple[int, int, int]:
    """Returns the mode, uid and gid in bytes 100 to 124 of a header."""
    mode, uid, gid = number(fields[:8]), number(fields[8:16]), number(fields[16:])
    return mode & 0o7777, _check_id(uid), _check_id(gid)


def _check_id(value: int) -> int:
    if not 0 <= value <= HIGHEST_ID:
        raise Refusal(f"id {value} is not between 0 and {HIGHEST_ID}")
    return value


def _name(header: bytes) -> str:
    if header[257:263] == b"ustar\0" and header[345]:
        prefix = header[345:476] if header[508:512] == b"tar\0" else header[345:500]
        return text(prefix) + "/" + text(header[:100])
    return text(header[:100])


def _kind(header: bytes, path: str) -> str:
    """Returns the kind of a member; V7 archives have directories as files whose names end in a slash."""
    return "d" if header[156] == 0 and path.endswith("/") else _KINDS[header[156]]


def _special(header: bytes, kind: str) -> tuple[str, int, int]:
    """Returns the target of a link and the numbers of a device."""
    if kind in "hl":
        return text(header[157:257]), 0, 0
    if kind not in "cb":
        return "", 0, 0
    major, minor = number(header[329:337]), number(header[337:345])
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise Refusal(f"{_name(header)!r}: device {major}:{minor} is beyond Linux's 12 and 20 bits")
    return "", major, minor


def _plain_member(header: bytes, data: int, end: int) -> tuple[Member, int]:
    """Returns a member that its own header describes, and the position of the next header."""
    mode, uid, gid = _numbers(header[100:124])
    size = number(header[124:136]) if _KINDS[header[156]] == "f" else 0
    path = _name(header)
    if data + size > end or size < 0:
        raise Refusal(f"{path!r} claims {size} bytes, of which {max(end - data, 0)} are there")
    kind = _kind(header, path)
    target, major, minor = _special(header, kind)
    extents, mtime = ((data, size),) if size else (), number(header[136:148])
    return Member(path, kind, mode, uid, gid, mtime, (), target, major, minor, extents), data + blocks(size)


def _extend(buffer: Buffer, header: bytes, data: int, extensions: _Extensions) -> tuple[_Extensions | None, int]:
    """Adds a header that extends the next member's; returns the position of the next header, too."""
    flag, size = header[156], number(header[124:136])
    if flag not in (_PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET):
        raise Refusal(f"{_name(header)!r} is of the unknown kind {chr(flag)!r}")
    if not 0 <= size <= RECORDS_LIMIT:
        raise Refusal(f"an extended header of {size} bytes; {RECORDS_LIMIT} is the limit")
    body = buffer[data : data + size]
    if len(body) < size:
        raise Refusal("the archive ends inside an extended header")
    if flag == _GLOBAL:
        pax.check_global(pax.parse(body))
        if extensions == _Extensions():
            return None, data + blocks(size)
    elif flag == _PAX:
        if extensions.records is not None:
            raise Refusal("two extended headers for one entry")
        extensions.records = pax.parse(body)
    elif flag == _LONG_NAME:
        extensions.name = body.partition(b"\0")[0]
    else:
        extensions.target = body.partition(b"\0")[0]
    return extensions, data + blocks(size)


def _extended_member(buffer: Buffer, header: bytes, data: int, extensions: _Extensions) -> tuple[Member, int]:
    """Returns a member with extended headers, or a sparse one, and the position of the next header."""
    mode, uid, gid = _numbers(header[100:124])
    stated = pax.header(extensions.records or [])
    path = _choose(extensions.name, stated.path, _name(header))
    kind = _kind(header, path)
    target, major, minor = _special(header, kind)
    target = _choose(extensions.target, stated.target, target)
    size = 0
    if kind == "f":
        size = number(header[124:136]) if stated.size is None else stated.size
    next_header = data + blocks(size)
    extents: Extents = ((data, size),) if size else ()
    if header[156] == _SPARSE:
        extents, start = sparse.gnu_extents(buffer, header, _name(header), data, size)
        next_header = start + blocks(size)
    elif stated.sparse and kind == "f":
        extents = sparse.pax_extents(stated.sparse, buffer, data, size)
        path = stated.sparse_name or path
    if not 0 <= size <= len(buffer) - data:
        raise Refusal(f"{path!r} claims {size} bytes, of which {max(len(buffer) - data, 0)} are there")
    uid = uid if stated.uid is None else _check_id(stated.uid)
    gid = gid if stated.gid is None else _check_id(stated.gid)
    mtime = number(header[136:148]) if stated.mtime is None else stated.mtime
    return Member(path, kind, mode, uid, gid, mtime, stated.xattrs, target, major, minor, extents), next_header


def _choose(long: bytes | None, stated: bytes | None, short: str) -> str:
    """Returns a name of up to three headers. GNU's and PAX's must be equal, as readers disagree which one counts."""
    if long is not None and stated is not None and long != stated:
        raise Refusal(f"two names for one entry: {long[:200]!r} and {stated[:200]!r}")
    best = stated if long is None else long
    return short if best is None else decode(best)
