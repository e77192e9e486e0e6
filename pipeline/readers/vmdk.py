"""VMDK sparse extents, plain and streamOptimized (VMware, "Virtual Disk Format 5.0")."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property

from pipeline.readers import HEADER, Listing, Node, Unreadable
from pipeline.readers.view import Extent, Mosaic, View, window

NAME = "VMDK"
ORDER = 10

SECTOR = 512
AT_END = 0xFFFFFFFFFFFFFFFF
COMPRESSED = 1 << 16
FIELDS = "<4sIIQQQQIQQQB4sH"


class _Grain:
    """A compressed grain: its sector, the size of what follows, and a zlib stream."""

    identity: object = None

    def __init__(self, view: View, offset: int, size: int) -> None:
        self._view, self._offset = view, offset
        self.size = size

    @cached_property
    def _data(self) -> bytes:
        import zlib

        _, packed = struct.unpack("<QI", self._view.read(self._offset, 12))
        return zlib.decompressobj().decompress(self._view.read(self._offset + 12, packed), self.size)

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count].ljust(min(count, self.size - offset), b"\0")


def recognises(view: View) -> bool:
    return view.read(0, 4) == b"KDMV"


def read(view: View) -> Listing:
    """`disk`: what the guest sees; `descriptor`: the text inside."""
    header = view.read(0, struct.calcsize(FIELDS))
    if struct.unpack(FIELDS, header)[9] == AT_END:
        header = view.read(view.size - 2 * SECTOR, struct.calcsize(FIELDS))
    magic, version, flags, capacity, grain, start, count, per_table, _, directory, *_ = struct.unpack(FIELDS, header)
    if magic != b"KDMV" or not grain or not per_table:
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
    for table in struct.unpack(f"<{tables}I", view.read(directory * SECTOR, tables * 4)):
        yield from struct.unpack(f"<{per_table}I", view.read(table * SECTOR, per_table * 4)) if table else (0,) * per_table


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
            yield Extent(_Grain(view, sector * SECTOR, grain * SECTOR), 0, length)
        else:
            yield Extent(view, sector * SECTOR, length)
