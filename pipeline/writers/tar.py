"""tar archives in the POSIX form (ustar with PAX records where that is too narrow), one entry a path, in path order.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block". Extended attributes are SCHILY.xattr
records, as GNU tar, star, bsdtar and OCI layers have them. Names have no leading `./` and directories no final slash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.tree import Directory, Entry, File, Sink, Symlink
from pipeline.writers import raw

VERSION = 1
BLOCK = 512
WIDEST_NAME = 100
LARGEST = {"uid": 0o7777777, "gid": 0o7777777, "size": 0o77777777777, "mtime": 0o77777777777}
"""What the fields' octal digits can say; beyond it, and below zero, a record says it."""
KINDS = {"c": b"3", "b": b"4", "p": b"6"}
USTAR = b"ustar\00000"
GNU = b"ustar  \0"
"""What tells the two kinds of headers apart; they agree in all that is written here without PAX records."""
HEADER = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%s%s" + bytes(64) + b"%07o\0%07o\0" + bytes(167)


def write(tree: Mapping[str, Entry], out: Sink, magic: bytes = USTAR) -> None:
    """Write the ordered `tree` to `out`. The first path of a hard-linked file carries the data."""
    for path, entry in tree.items():
        linked = isinstance(entry, File) and entry.inode not in ("", path)
        out.write(b"".join(_headers(path, entry, linked, magic)))
        if isinstance(entry, File) and entry.content and not linked:
            out.extend(entry.content)
            out.write(bytes(-entry.size % BLOCK))
    out.write(bytes(2 * BLOCK))


def _headers(path: str, entry: Entry, linked: bool, magic: bytes) -> Iterator[bytes]:
    """The header of an entry, behind one with its PAX records if it needs any."""
    name, target = raw(path or "."), b""
    size = major = minor = 0
    if isinstance(entry, File):
        kind = b"1" if linked else b"0"
        target = raw(entry.inode) if linked else b""
        size = 0 if linked else entry.size
    elif isinstance(entry, Directory):
        kind = b"5"
    elif isinstance(entry, Symlink):
        kind, target = b"2", raw(entry.target)
    else:
        kind, major, minor = KINDS[entry.kind], entry.major, entry.minor
    numbers = {"uid": entry.uid, "gid": entry.gid, "size": size, "mtime": entry.mtime}
    wide = {key: value for key, value in numbers.items() if not 0 <= value <= LARGEST[key]}
    if wide or entry.xattrs or len(name) > WIDEST_NAME or len(target) > WIDEST_NAME:
        records = {key.encode(): b"%d" % value for key, value in wide.items()}
        records |= {b"SCHILY.xattr." + raw(key): value for key, value in entry.xattrs}
        records |= {key: text for key, text in ((b"path", name), (b"linkpath", target)) if len(text) > WIDEST_NAME}
        yield from _extended(records)
        numbers |= dict.fromkeys(wide, 0)
    yield _header(name, entry.mode & 0o7777, numbers, kind, target, magic, major, minor)


def _extended(records: Mapping[bytes, bytes]) -> Iterator[bytes]:
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    numbers = {"uid": 0, "gid": 0, "size": len(data), "mtime": 0}
    yield _header(b"PaxHeader", 0o644, numbers, b"x", b"", USTAR, 0, 0)
    yield data + bytes(-len(data) % BLOCK)


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
    numbers: Mapping[str, int],
    kind: bytes,
    target: bytes,
    magic: bytes,
    major: int,
    minor: int,
) -> bytes:
    head = HEADER % (
        name[:WIDEST_NAME].ljust(WIDEST_NAME, b"\0"),
        mode,
        numbers["uid"],
        numbers["gid"],
        numbers["size"],
        numbers["mtime"],
        kind,
        target[:WIDEST_NAME].ljust(WIDEST_NAME, b"\0"),
        magic,
        major,
        minor,
    )
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]
