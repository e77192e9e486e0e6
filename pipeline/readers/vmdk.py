"""VMDK sparse extents, plain and streamOptimized (VMware, "Virtual Disk Format 5.0")."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from pipeline.readers import HEADER, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Mosaic, Packed, View, window

SECTOR = 512
LARGEST_GRAIN, LARGEST_TABLE = 1 << 14, 1 << 12
"""Sectors of a grain, and entries of a table: everybody has 128 and 512."""
MOST_TABLES = 1 << 15
"""Of 32 MiB each: a disk of 1 TiB, half of what the format allows."""
AT_END = 0xFFFFFFFFFFFFFFFF
COMPRESSED = 1 << 16
FIELDS = "<4sIIQQQQIQQQB4sH"


def recognises(view: View) -> bool:
    return view.read(0, 4) == b"KDMV"


def read(view: View) -> Listing:
    """`disk`: what the guest sees; `descriptor`: the text inside."""
    header = view.read(0, struct.calcsize(FIELDS))
    if struct.unpack(FIELDS, header)[9] == AT_END:
        header = view.read(view.size - 2 * SECTOR, struct.calcsize(FIELDS))
    magic, version, flags, capacity, grain, start, count, per_table, _, directory, *_ = struct.unpack(FIELDS, header)
    if magic != b"KDMV" or not 0 < grain <= LARGEST_GRAIN or not 0 < per_table <= LARGEST_TABLE:
        raise Unreadable("a VMDK without its footer")
    grains = _grains(view, capacity, grain, per_table, directory)
    disk = Mosaic(_extents(view, grains, capacity, grain, bool(flags & COMPRESSED)))
    facts = {"version": version, "flags": f"{flags:#x}", "sectors": capacity, "grain": grain * SECTOR}
    listing = {"disk": Node("disk", {}, disk), HEADER: Node("image", facts, None, {"bytes": view.size})}
    if start:
        text = view.read(start * SECTOR, count * SECTOR).rstrip(b"\0")
        listing["descriptor"] = Node("text", {}, window(view, start * SECTOR, len(text)))
    return listing


def _grains(view: View, capacity: int, grain: int, per_table: int, directory: int) -> Iterator[int]:
    """The sector of every grain, in the order of the disk; 0 where there is none, 1 for zeros."""
    tables = -(-capacity // (grain * per_table))
    found = struct.unpack(f"<{tables}I", view.read(directory * SECTOR, tables * 4))
    if sum(map(bool, found)) * per_table * 4 > view.size or tables > MOST_TABLES:
        raise Unreadable("more tables than there is room for")
    for table in found:
        entries = view.read(table * SECTOR, per_table * 4) if table else bytes(per_table * 4)
        yield from struct.unpack(f"<{per_table}I", entries)


def _extents(view: View, grains: Iterator[int], capacity: int, grain: int, compressed: bool) -> Iterator[Extent]:
    left = capacity * SECTOR
    for sector in grains:
        length = min(grain * SECTOR, left)
        if length <= 0:
            return
        left -= length
        if sector <= 1:
            yield Extent(None, 0, length)
        elif compressed:
            yield Extent(Packed(partial(_unpack, view, sector * SECTOR, grain * SECTOR), grain * SECTOR), 0, length)
        else:
            yield Extent(view, sector * SECTOR, length)


def _unpack(view: View, offset: int, size: int) -> bytes:
    """A compressed grain: its sector, the size of what follows, and a zlib stream."""
    import zlib

    _, packed = struct.unpack("<QI", view.read(offset, 12))
    return zlib.decompressobj().decompress(view.read(offset + 12, packed), size)


READER = Reader("VMDK", recognises, read)
