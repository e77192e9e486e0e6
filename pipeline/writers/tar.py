"""tar archives in the POSIX form (ustar with PAX records where that is too narrow), one entry a path, in path order.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block". Extended attributes are SCHILY.xattr
records, as GNU tar, star, bsdtar and OCI layers have them. Names have no leading `./` and directories no final slash.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from zlib import adler32

from pipeline.tree import Content, Device, Entry, File, Sink, Symlink, length
from pipeline.writers import raw

VERSION = 1
BLOCK = 512
WIDEST_NAME = 100
LARGEST_ID, LARGEST = 0o7777777, 0o77777777777
"""What the fields' octal digits can say; beyond it, and below zero, a record says it."""
MANY = 1024
"""Headers that are written at once, if no data comes between them."""
KINDS = {"c": b"3", "b": b"4", "p": b"6"}
USTAR = b"ustar\00000"
GNU = b"ustar  \0"
"""What tells the two kinds of headers apart; they agree in all that is written here without PAX records."""
HEADER = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%s%s" + bytes(64) + b"%07o\0%07o\0" + bytes(167)


def write(tree: Mapping[str, Entry], out: Sink, magic: bytes = USTAR) -> None:
    """Write the ordered `tree` to `out`. The first path of a hard-linked file carries the data."""
    waiting: list[bytes] = []
    for path, entry in tree.items():
        content: Content = ()
        linked, size = False, 0
        if type(entry) is File:
            linked = entry.inode not in ("", path)
            if not linked:
                content, size = entry.content, length(entry.content)
        waiting.append(_headers(path, entry, linked, size, magic))
        if content or len(waiting) == MANY:
            out.write(b"".join(waiting))
            out.extend(content)
            waiting = [bytes(-size % BLOCK)]
    out.write(b"".join(waiting) + bytes(2 * BLOCK))


def _headers(path: str, entry: Entry, linked: bool, size: int, magic: bytes) -> bytes:
    """The header of an entry with `size` bytes of data, behind one with its PAX records if it needs any."""
    name, kind, target, major, minor = raw(path or "."), b"5", b"", 0, 0
    if type(entry) is File:
        kind, target = (b"1", raw(entry.inode)) if linked else (b"0", b"")
    elif type(entry) is Symlink:
        kind, target = b"2", raw(entry.target)
    elif type(entry) is Device:
        kind, major, minor = KINDS[entry.kind], entry.major, entry.minor
    mode, uid, gid, mtime = entry[:4]
    wide: dict[bytes, int] = {}
    if not (0 <= uid <= LARGEST_ID and 0 <= gid <= LARGEST_ID and size <= LARGEST and 0 <= mtime <= LARGEST):
        ids, others = {b"uid": uid, b"gid": gid}, {b"size": size, b"mtime": mtime}
        wide = {key: value for key, value in ids.items() if not 0 <= value <= LARGEST_ID}
        wide |= {key: value for key, value in others.items() if not 0 <= value <= LARGEST}
        uid, gid, size, mtime = (0 if key in wide else value for key, value in (ids | others).items())
    before = b""
    if wide or entry.xattrs or len(name) > WIDEST_NAME or len(target) > WIDEST_NAME:
        records = {key: b"%d" % value for key, value in wide.items()}
        records |= {b"SCHILY.xattr." + raw(key): value for key, value in entry.xattrs}
        records |= {key: text for key, text in ((b"path", name), (b"linkpath", target)) if len(text) > WIDEST_NAME}
        before = _extended(records)
    return before + _header(name, mode, uid, gid, size, mtime, kind, target, magic, major, minor)


def _extended(records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join([_record(key, records[key]) for key in sorted(records)])
    return _extended_header(len(data)) + data + bytes(-len(data) % BLOCK)


@lru_cache(WIDEST_NAME)
def _extended_header(size: int) -> bytes:
    return _header(b"PaxHeader", 0o644, 0, 0, size, 0, b"x", b"", USTAR, 0, 0)


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, the length counting itself."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) > len(str(rest)):
        size += 1
    return b"%d %s=%s\n" % (size, key, value)


def _header(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    kind: bytes,
    target: bytes,
    magic: bytes,
    major: int,
    minor: int,
) -> bytes:
    head = HEADER % (
        name[:WIDEST_NAME].ljust(WIDEST_NAME, b"\0"),
        mode & 0o7777,
        uid,
        gid,
        size,
        mtime,
        kind,
        target[:WIDEST_NAME].ljust(WIDEST_NAME, b"\0"),
        magic,
        major,
        minor,
    )
    # The lower half of Adler-32, started at 0, is the sum of the bytes modulo 65521, ten times as fast as sum(). No
    # header's is as large: name and link have 200 bytes, and of the others 81 are not zero, but ASCII.
    return head[:148] + b"%06o\0 " % (adler32(head, 0) & 0xFFFF) + head[156:]
