"""tar archives in the POSIX form (ustar with PAX records where that is too narrow), one entry a path, in path order.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block". Extended attributes are SCHILY.xattr
records, as GNU tar, star, bsdtar and OCI layers have them. Names have no leading `./` and directories no final slash.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from zlib import adler32

from pipeline.model.tree import Content, Device, Entry, File, Sink, Symlink, length
from pipeline.writers import FormatError, limits, raw
from pipeline.writers.carried import Carried

VERSION = 1
CARRIED = Carried("a tar archive")
BLOCK = 512
END = bytes(2 * BLOCK)
"""The end of an archive."""
WIDEST_NAME = 100
LARGEST_ID, LARGEST = 0o7777777, 0o77777777777
"""Maximum values of the fields' octal digits; a PAX record has larger and negative ones."""
LARGEST_DEVICE = 0o7777777
"""Largest major and minor number of a device: 7 octal digits, and no record of POSIX for more ("ustar Interchange
Format", devmajor)."""
LARGEST_RECORDS = 1 << 20
"""Maximum size of the PAX records of an entry, in bytes: Docker and containerd read no more (Go, archive/tar:
maxSpecialFileSize)."""
MANY = 1024
"""Headers that are written at once, if no data comes between them."""
KINDS = {"c": b"3", "b": b"4", "p": b"6"}
USTAR = b"ustar\00000"
GNU = b"ustar  \0"
"""The magic of POSIX and of GNU headers; they agree in everything that is written here without PAX records."""
HEADER = Struct("100s24s12s20sc100s8s64x16s167x").pack
"""Name; mode and owner; size; time and checksum; kind; link; magic; a device's numbers. Cuts what is too long."""
SPACES = b" " * 8
"""The checksum field while the checksum is computed."""
OCTAL_IDS, OCTAL_NUMBERS, OCTAL = b"%07o\0%07o\0%07o\0", b"%07o\0%07o\0", b"%011o\0"
NO_DEVICE = OCTAL_NUMBERS % (0, 0)
FEW = 1024
"""Owners and times that are cached: a tree has few different ones, and many entries."""


def write(tree: Mapping[str, Entry], out: Sink, magic: bytes = USTAR) -> None:
    """Writes the ordered `tree` to `out`. The first path of a hard-linked file carries the data."""
    write_members(tree, out, magic)
    out.write(END)


def write_members(tree: Mapping[str, Entry], out: Sink, magic: bytes = USTAR) -> None:
    """Writes the same without END, so that more members may follow."""
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
    out.write(b"".join(waiting))


def _headers(path: str, entry: Entry, linked: bool, size: int, magic: bytes) -> bytes:
    """Returns the header of an entry with `size` bytes of data, after one with its PAX records if it needs any."""
    name, kind, target, device = raw(path or "."), b"5", b"", NO_DEVICE
    if type(entry) is File:
        kind, target = (b"1", raw(entry.inode)) if linked else (b"0", b"")
    elif type(entry) is Symlink:
        kind, target = b"2", raw(entry.target)
    elif type(entry) is Device:
        kind, device = KINDS[entry.kind], OCTAL_NUMBERS % _device(path, entry)
    ids, time, wide = _common(*entry[:4])
    if size > LARGEST:
        wide, size = {**wide, b"size": b"%d" % size}, 0
    before = b""
    if wide or entry.xattrs or len(name) > WIDEST_NAME or len(target) > WIDEST_NAME:
        records = {_attribute(path, key): value for key, value in entry.xattrs}
        records |= {key: text for key, text in ((b"path", name), (b"linkpath", target)) if len(text) > WIDEST_NAME}
        before = _pax_header(path, {**wide, **records})
    return before + _header(name, ids, size, time, kind, target, magic, device)


@lru_cache(FEW)
def _common(mode: int, uid: int, gid: int, mtime: int) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """Returns mode and owner as header fields, the time, and the PAX records of values that do not fit."""
    values = ((b"uid", uid, LARGEST_ID), (b"gid", gid, LARGEST_ID), (b"mtime", mtime, LARGEST))
    wide = {key: b"%d" % value for key, value, largest in values if not 0 <= value <= largest}
    uid, gid, mtime = (0 if key in wide else value for key, value, _ in values)
    return OCTAL_IDS % (mode & 0o7777, uid, gid), OCTAL % mtime + SPACES, wide


def _device(path: str, entry: Device) -> tuple[int, int]:
    if not 0 <= min(entry.major, entry.minor) <= max(entry.major, entry.minor) <= LARGEST_DEVICE:
        numbers = f"device {entry.major}:{entry.minor}; tar has room for 0:0 to {LARGEST_DEVICE}:{LARGEST_DEVICE}"
        raise FormatError(f"{limits.short_path(path)}: {numbers}: leave it out")
    return entry.major, entry.minor


def _attribute(path: str, key: str) -> bytes:
    """The key of the record of an extended attribute. The first `=` ends it for readers."""
    if "=" in key:
        room = "tar has room for names without ="
        raise FormatError(f"{limits.short_path(path)}: extended attribute {key}; {room}: leave it out")
    return b"SCHILY.xattr." + raw(key)


def _pax_header(path: str, records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join([_record(key, records[key]) for key in sorted(records)])
    if len(data) > LARGEST_RECORDS:
        what, advice = "names and extended attributes", "leave some attributes out"
        raise limits.limit_error(path, what, len(data), LARGEST_RECORDS, "a tar header", advice)
    return _extended_header(len(data)) + data + bytes(-len(data) % BLOCK)


@lru_cache(WIDEST_NAME)
def _extended_header(size: int) -> bytes:
    ids, time, _ = _common(0o644, 0, 0, 0)
    return _header(b"PaxHeader", ids, size, time, b"x", b"", USTAR, NO_DEVICE)


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, the length counting itself."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    if len(str(size)) > len(str(rest)):
        size += 1
    return b"%d %s=%s\n" % (size, key, value)


def _header(
    name: bytes, ids: bytes, size: int, time: bytes, kind: bytes, target: bytes, magic: bytes, device: bytes
) -> bytes:
    head = HEADER(name, ids, OCTAL % size, time, kind, target, magic, device)
    # The lower half of Adler-32, started at 0, is the sum of the bytes modulo 65521, ten times as fast as sum(). No
    # header's is as large: name and link have 200 bytes, and of the others 81 are not zero, but ASCII.
    return head[:148] + b"%06o\0 " % (adler32(head, 0) & 0xFFFF) + head[156:]
