"""VMDK sparse extents, plain and streamOptimized (VMware, "Virtual Disk Format 5.0")."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from pipeline.ondisk import vmdk as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import CompressedBlock, ConcatView, View, ViewSlice, subview

SECTOR = 512
LARGEST_GRAIN, LARGEST_TABLE = 1 << 14, 1 << 12
"""Sectors of a grain, and entries of a table: everybody has 128 and 512."""
MOST_TABLES = 1 << 15
"""Maximum number of tables, of 32 MiB each: a disk of 1 TiB, half of the format's own limit."""


def recognises(view: View) -> bool:
    return view.read(0, 4) == ondisk.MAGIC


def read(view: View) -> Listing:
    """Lists `disk`: the guest's view; `descriptor`: the text inside."""
    size = ondisk.HEADER.size
    header = ondisk.HEADER.unpack(view.read(0, size))
    if header.gdOffset == ondisk.AT_END:
        header = ondisk.HEADER.unpack(view.read(view.size - 2 * SECTOR, size))
    capacity, grain, per_table = header.capacity, header.grainSize, header.numGTEsPerGT
    if header.magicNumber != ondisk.MAGIC or not 0 < grain <= LARGEST_GRAIN or not 0 < per_table <= LARGEST_TABLE:
        raise StructureError("a VMDK without its footer")
    grains = _grains(view, capacity, grain, per_table, header.gdOffset)
    disk = ConcatView(_extents(view, grains, capacity, grain, bool(header.flags & ondisk.COMPRESSED)))
    properties = {
        "version": header.version, "flags": f"{header.flags:#x}", "sectors": capacity, "grain": grain * SECTOR,
    }  # fmt: skip
    listing = {"disk": Node("disk", {}, disk), HEADER: Node("image", properties, None, {"bytes": view.size})}
    if start := header.descriptorOffset * SECTOR:
        text = view.read(start, header.descriptorSize * SECTOR).rstrip(b"\0")
        listing["descriptor"] = Node("text", {}, subview(view, start, len(text)))
    return listing


def _grains(view: View, capacity: int, grain: int, per_table: int, directory: int) -> Iterator[int]:
    """The sector of every grain, in the order of the disk; 0 where there is none, 1 for zeros."""
    tables = -(-capacity // (grain * per_table))
    found = struct.unpack(f"<{tables}I", view.read(directory * SECTOR, tables * 4))
    if sum(map(bool, found)) * per_table * 4 > view.size or tables > MOST_TABLES:
        raise StructureError("more tables than there is room for")
    for table in found:
        entries = view.read(table * SECTOR, per_table * 4) if table else bytes(per_table * 4)
        yield from struct.unpack(f"<{per_table}I", entries)


def _extents(view: View, grains: Iterator[int], capacity: int, grain: int, compressed: bool) -> Iterator[ViewSlice]:
    left = capacity * SECTOR
    for sector in grains:
        length = min(grain * SECTOR, left)
        if length <= 0:
            return
        left -= length
        if sector <= 1:
            yield ViewSlice(None, 0, length)
        elif compressed:
            yield ViewSlice(
                CompressedBlock(partial(_decompress, view, sector * SECTOR, grain * SECTOR), grain * SECTOR), 0, length
            )
        else:
            yield ViewSlice(view, sector * SECTOR, length)


def _decompress(view: View, offset: int, size: int) -> bytes:
    """Decompresses a grain: its sector, its compressed size, and a zlib stream."""
    import zlib

    grain = ondisk.GRAIN.unpack(view.read(offset, ondisk.GRAIN.size))
    return zlib.decompressobj().decompress(view.read(offset + ondisk.GRAIN.size, grain.size), size)


READER = Reader("VMDK", recognises, read)
