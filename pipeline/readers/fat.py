"""FAT12, FAT16 and FAT32 with long names (Microsoft, "FAT: General Overview of On-Disk Format", 1.03; ECMA-107)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers import HEADER, MOST_ENTRIES, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Mosaic, View, window

ENTRY = 32
LONG_NAME, VOLUME, DIRECTORY = 0x0F, 0x08, 0x10
DELETED, FREE = 0xE5, 0x00
LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
LARGEST_TABLE = 256 << 20
"""Bytes of a table: 64 Mi clusters, 2 TiB in clusters of 32 KiB."""
DEEPEST = 64
"""Directories below each other. A path has at most 260 characters, and a damaged table may make a ring."""


class _Volume(NamedTuple):
    view: View
    bits: int
    cluster: int
    """Bytes of a cluster."""
    data: int
    """Where cluster 2 starts."""
    table: bytes
    clusters: int
    root: View
    walked: set[int]
    """First clusters of the directories that were listed: one that comes twice is a ring."""

    def chain(self, first: int) -> Mosaic:
        """What the clusters from `first` on hold."""
        extents, number, seen = [], first, 0
        while 2 <= number < self.clusters + 2:
            extents.append(Extent(self.view, self.data + (number - 2) * self.cluster, self.cluster))
            number, seen = self.next(number), seen + 1
            if seen > len(self.table) * 8 // self.bits:
                raise Unreadable("a ring of clusters")
        return Mosaic(extents)

    def next(self, number: int) -> int:
        if self.bits == 12:
            pair = int.from_bytes(self.table[number * 3 // 2 : number * 3 // 2 + 2], "little")
            return pair >> 4 if number % 2 else pair & 0xFFF
        if self.bits == 16:
            return int.from_bytes(self.table[number * 2 : number * 2 + 2], "little")
        return int.from_bytes(self.table[number * 4 : number * 4 + 4], "little") & 0x0FFFFFFF


def recognises(view: View) -> bool:
    boot = view.read(0, 512)
    if len(boot) < 512 or boot[510:] != b"\x55\xaa" or boot[0] not in (0xEB, 0xE9):
        return False
    sector, cluster, reserved, copies = struct.unpack_from("<HBHB", boot, 11)
    return sector in (512, 1024, 2048, 4096) and cluster.bit_count() == 1 and reserved > 0 and copies in (1, 2)


def read(view: View) -> Listing:
    """Every file and directory by its long name, the boot sector's identity at the header."""
    boot = view.read(0, 512)
    volume = _volume(view, boot)
    extended = 64 if volume.bits == 32 else 36
    facts: dict[str, str | int] = {
        "type": f"FAT{volume.bits}", "OEM name": _text(boot[3:11]), "cluster": volume.cluster,
        "serial": boot[extended + 3 : extended + 7][::-1].hex(), "label": _text(boot[extended + 7 : extended + 18]),
        "hidden sectors": int.from_bytes(boot[28:32], "little"),
    }  # fmt: skip
    listing: dict[str, Node] = {}
    for path, node in _directory(volume, volume.root, "", 0):
        listing[path] = node
        if len(listing) > MOST_ENTRIES:
            raise Unreadable(f"more than {MOST_ENTRIES} entries")
    code = extended + 26
    listing["(boot code)"] = Node("code", {}, window(view, code, 510 - code))
    listing[HEADER] = Node("volume", facts, None, {"sectors": _sectors(boot)})
    return listing


def _sectors(boot: bytes) -> int:
    return int.from_bytes(boot[19:21], "little") or int.from_bytes(boot[32:36], "little")


def _volume(view: View, boot: bytes) -> _Volume:
    size, per_cluster, reserved, copies, root_entries = struct.unpack_from("<HBHBH", boot, 11)
    table = int.from_bytes(boot[22:24], "little") or int.from_bytes(boot[36:40], "little")
    root_start = (reserved + copies * table) * size
    data = root_start + -(-root_entries * ENTRY // size) * size
    clusters = (_sectors(boot) * size - data) // (per_cluster * size)
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    if table * size > LARGEST_TABLE:
        raise Unreadable("a table of more clusters than FAT has")
    entries = view.read(reserved * size, table * size)
    volume = _Volume(view, bits, per_cluster * size, data, entries, clusters, view, set())
    if bits == 32:
        return volume._replace(root=volume.chain(int.from_bytes(boot[44:48], "little")))
    return volume._replace(root=window(view, root_start, root_entries * ENTRY))


def _directory(volume: _Volume, content: View, above: str, depth: int) -> Iterator[tuple[str, Node]]:
    if depth > DEEPEST:
        raise Unreadable("directories without end")
    long_name = ""
    for offset in range(0, content.size, ENTRY):
        entry = content.read(offset, ENTRY)
        if entry[0] == FREE:
            return
        if entry[0] == DELETED:
            long_name = ""
        elif entry[11] & 0x3F == LONG_NAME:
            long_name = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le", "replace") + long_name
        else:
            name, long_name = long_name.partition("\0")[0] or _short(entry), ""
            if name not in (".", ".."):
                yield from _entry(volume, entry, above + name, depth)


def _entry(volume: _Volume, entry: bytes, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    attributes = entry[11]
    high, mtime, mdate, low, size = struct.unpack_from("<HHHHI", entry, 20)
    first = low | high << 16 if volume.bits == 32 else low
    tenths, ctime, cdate, adate = struct.unpack_from("<BHHH", entry, 13)
    facts: dict[str, str | int] = {
        "attributes": f"0x{attributes:02x}", "modified": _time(mdate, mtime),
        "created": f"{_time(cdate, ctime)}.{tenths:02}", "accessed": _time(adate, 0)[:10], "short name": _short(entry),
    }  # fmt: skip
    if attributes & VOLUME:
        yield "(label)", Node("label", facts | {"label": _text(entry[:11])}, None)
    elif attributes & DIRECTORY:
        if first in volume.walked:
            raise Unreadable("a directory in two places")
        volume.walked.add(first)
        yield path, Node("directory", facts, None, {"cluster": first})
        yield from _directory(volume, volume.chain(first), path + "/", depth + 1)
    else:
        yield path, Node("file", facts, window(volume.chain(first), 0, size), {"cluster": first})


def _time(date: int, time: int) -> str:
    day = f"{1980 + (date >> 9)}-{date >> 5 & 15:02}-{date & 31:02}"
    return f"{day} {time >> 11:02}:{time >> 5 & 63:02}:{(time & 31) * 2:02}"


def _short(entry: bytes) -> str:
    base, extension = _text(entry[:8]), _text(entry[8:11])
    base = base.lower() if entry[12] & LOWER_BASE else base
    extension = extension.lower() if entry[12] & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def _text(raw: bytes) -> str:
    return raw.decode("cp437").rstrip()


READER = Reader("FAT", recognises, read, order=30)
