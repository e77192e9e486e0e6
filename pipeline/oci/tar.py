"""Tar: an index of an archive, made in one pass over its headers. No data is copied, nothing is ever extracted.

POSIX ustar and PAX (pax(1), "pax Interchange Format"), GNU long names, base-256 numbers and sparse files (GNU tar
manual, "Tar Internals"), V7. Where readers are known to disagree about an archive it is refused, so that what was
scanned elsewhere is what is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from zlib import adler32

from pipeline.model.tree import Content, Slice, Xattrs, cut
from pipeline.oci import pax, sparse
from pipeline.oci.error import Refusal
from pipeline.oci.sparse import Buffer, Extents
from pipeline.oci.tar_fields import number, text

BLOCK = 512
RECORDS_LIMIT = 1 << 20
"""Bytes of one extended header or long name; Go's reader has the same limit."""
HIGHEST_ID = 2**32 - 2
"""Linux keeps user and group ids in 32 bits, and the last one means "leave it as it is"."""


class Member(NamedTuple):
    """One entry of an archive, as it says; its name and target are not to be trusted."""

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
_IDS_REMEMBERED = 4096


class _Pending:
    """What the headers before a member say about it."""

    __slots__ = ("name", "records", "target")

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.target: bytes | None = None
        self.records: pax.Records | None = None


def members(buffer: Buffer) -> Iterator[Member]:
    """The entries of the archive in `buffer`, in its order; Refusal says where it breaks the format."""
    position, end = 0, len(buffer)
    ids: dict[bytes, tuple[int, int, int]] = {}
    pending: _Pending | None = None
    while position < end:
        header = buffer[position : position + BLOCK]
        if header == _ZERO:
            break
        if len(header) < BLOCK or not _checksum_is_right(header):
            raise Refusal(f"no tar header at byte {position}")
        flag, data = header[156], position + BLOCK
        kind = _KINDS.get(flag)
        if kind is None:
            pending, position = _announce(buffer, header, data, pending or _Pending())
            continue
        numbers = ids.get(header[100:124])
        if numbers is None:
            if len(ids) >= _IDS_REMEMBERED:
                ids.clear()
            numbers = ids[header[100:124]] = _ids(header)
        if pending is not None or flag == _SPARSE:
            member, position = _described(buffer, header, data, kind, numbers, pending or _Pending())
            pending = None
            yield member
            continue
        size = number(header[124:136]) if kind == "f" else 0
        position = data + (size + 511 & -512)
        if data + size > end or size < 0:
            raise Refusal(f"{_name(header)!r} claims {size} bytes, of which {max(end - data, 0)} are there")
        path = _name(header)
        if flag == 0 and path.endswith("/"):
            kind = "d"
        mode, uid, gid = numbers
        target, major, minor = _special(header, kind) if kind in "hlcb" else ("", 0, 0)
        extents = ((data, size),) if size else ()
        yield Member(path, kind, mode, uid, gid, number(header[136:148]), (), target, major, minor, extents)
    if pending is not None:
        raise Refusal("the archive ends between an extended header and its entry")


def place(content: Content) -> Callable[[Extents], Content]:
    """How extents of the archive `content` turn into content."""
    if len(content) == 1 and content[0].blob is not None:
        blob, base, _ = content[0]

        def placed(extents: Extents) -> Content:
            return tuple([Slice(None, 0, size) if at < 0 else Slice(blob, base + at, size) for at, size in extents])

    else:

        def placed(extents: Extents) -> Content:
            pieces: list[Slice] = []
            for at, size in extents:
                pieces += (Slice(None, 0, size),) if at < 0 else cut(content, at, size)
            return tuple(pieces)

    return placed


def _checksum_is_right(header: bytes) -> bool:
    """All bytes added up, the sum's own as spaces. Adler-32's low half is such a sum, plus 1, for up to 256 bytes."""
    total = (
        (adler32(header[:148]) & 0xFFFF)
        + (adler32(header[156:412]) & 0xFFFF)
        + (adler32(header[412:]) & 0xFFFF)
        + (8 * 32 - 3)
    )
    try:
        stated = number(header[148:156])
    except Refusal:
        return False
    if stated == total:
        return True
    # Some old writers added signed bytes.
    return stated == total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])


def _ids(header: bytes) -> tuple[int, int, int]:
    mode, uid, gid = number(header[100:108]), number(header[108:116]), number(header[116:124])
    return mode & 0o7777, _checked_id(uid), _checked_id(gid)


def _checked_id(value: int) -> int:
    if not 0 <= value <= HIGHEST_ID:
        raise Refusal(f"id {value} is not between 0 and {HIGHEST_ID}")
    return value


def _name(header: bytes) -> str:
    if header[257:263] == b"ustar\0" and header[345]:
        prefix = header[345:476] if header[508:512] == b"tar\0" else header[345:500]
        return text(prefix) + "/" + text(header[:100])
    return text(header[:100])


def _special(header: bytes, kind: str) -> tuple[str, int, int]:
    """Target of a link, numbers of a device."""
    if kind in "hl":
        return text(header[157:257]), 0, 0
    major, minor = number(header[329:337]), number(header[337:345])
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise Refusal(f"{_name(header)!r}: device {major}:{minor} is beyond Linux's 12 and 20 bits")
    return "", major, minor


def _announce(buffer: Buffer, header: bytes, data: int, pending: _Pending) -> tuple[_Pending | None, int]:
    """Take a header that speaks about the next member; where reading goes on."""
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
        if pending.records is None and pending.name is None and pending.target is None:
            return None, data + (size + 511 & -512)
    elif flag == _PAX:
        if pending.records is not None:
            raise Refusal("two extended headers for one entry")
        pending.records = pax.parse(body)
    elif flag == _LONG_NAME:
        pending.name = body.partition(b"\0")[0]
    else:
        pending.target = body.partition(b"\0")[0]
    return pending, data + (size + 511 & -512)


def _described(
    buffer: Buffer, header: bytes, data: int, kind: str, numbers: tuple[int, int, int], pending: _Pending
) -> tuple[Member, int]:
    """A member with extended headers, or a sparse one; and where the next header stands."""
    said = pax.describe(pending.records or [])
    path = _agreed(pending.name, said.path, _name(header))
    if header[156] == 0 and path.endswith("/"):
        kind = "d"
    mode, uid, gid = numbers
    target, major, minor = _special(header, kind) if kind in "hlcb" else ("", 0, 0)
    target = _agreed(pending.target, said.target, target)
    size = 0
    if kind == "f":
        size = number(header[124:136]) if said.size is None else said.size
    next_header = data + (size + 511 & -512)
    extents: Extents = ((data, size),) if size else ()
    if header[156] == _SPARSE:
        extents, start = sparse.old(buffer, header, _name(header), data, size)
        next_header = start + (size + 511 & -512)
    elif said.sparse and kind == "f":
        regions, real_size, start = sparse.described(said.sparse, buffer, data, size)
        path = said.sparse_name or path
        extents = sparse.spread(regions, real_size, start, data + size)
    if not 0 <= size <= len(buffer) - data:
        raise Refusal(f"{path!r} claims {size} bytes, of which {max(len(buffer) - data, 0)} are there")
    return (
        Member(
            path,
            kind,
            mode,
            uid if said.uid is None else _checked_id(said.uid),
            gid if said.gid is None else _checked_id(said.gid),
            number(header[136:148]) if said.mtime is None else said.mtime,
            said.xattrs,
            target,
            major,
            minor,
            extents,
        ),
        next_header,
    )


def _agreed(long: bytes | None, said: bytes | None, short: str) -> str:
    """A name that up to three headers give; GNU's and PAX's must not differ, for readers disagree which one counts."""
    if long is not None and said is not None and long != said:
        raise Refusal(f"two names for one entry: {long[:200]!r} and {said[:200]!r}")
    best = said if long is None else long
    return short if best is None else best.decode("utf-8", "surrogateescape")
