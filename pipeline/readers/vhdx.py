"""VHDX disk images, fixed and dynamic ([MS-VHDX], Virtual Hard Disk v2 File Format), with an empty log."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from typing import Any

from pipeline.ondisk import vhdx as ondisk
from pipeline.ondisk.vhdx import MIB
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import ConcatView, View, ViewSlice

MOST_REGIONS, MOST_ITEMS = 2047, 2047
"""Maximum number of entries of their tables."""
LARGEST_ITEM = 1 * MIB
MOST_BLOCKS = 1 << 22
"""Maximum number of blocks: 4 TiB in the smallest blocks."""


def recognises(view: View) -> bool:
    return view.read(0, 8) == ondisk.SIGNATURE


def read(view: View) -> Listing:
    """Lists `disk`: the guest's view."""
    headers = [ondisk.HEADER.unpack(view.read(place, ondisk.HEADER.size)) for place in ondisk.HEADERS]
    header = max(headers, key=_sequence)
    if header.Signature != ondisk.HEADER_SIGNATURE or any(header.LogGuid):
        raise StructureError("a VHDX whose log is to be replayed first")
    regions = _regions(view)
    items = _metadata(view, regions[ondisk.METADATA_REGION])
    block, flags = ondisk.PARAMETERS.unpack(items[ondisk.FILE_PARAMETERS])
    (size,) = struct.unpack("<Q", items[ondisk.VIRTUAL_DISK_SIZE])
    (sector,) = struct.unpack("<I", items[ondisk.LOGICAL_SECTOR_SIZE])
    sizes = MIB <= block <= 256 * MIB and sector in (512, 4096) and size <= MOST_BLOCKS * block
    if flags & ondisk.HAS_PARENT or not sizes:
        raise StructureError("a VHDX with a parent, or of sizes that are not known here")
    disk = ConcatView(_extents(view, regions[ondisk.BAT_REGION], size, block, ondisk.bat_chunk(sector, block)))
    properties: dict[str, str | int] = {
        "size": size, "block": block, "sector": sector,
        "identity": str(uuid.UUID(bytes_le=items[ondisk.VIRTUAL_DISK_ID])),
        "file": str(uuid.UUID(bytes_le=header.FileWriteGuid)), "data": str(uuid.UUID(bytes_le=header.DataWriteGuid)),
    }  # fmt: skip
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", properties, None, {"bytes": view.size})}


def _sequence(header: Any) -> int:
    return int(header.SequenceNumber) if header.Signature == ondisk.HEADER_SIGNATURE else -1


def _regions(view: View) -> dict[uuid.UUID, int]:
    """Guid of a region -> its offset."""
    at, size = ondisk.REGION_TABLES[0], ondisk.REGION_TABLE.size
    table = ondisk.REGION_TABLE.unpack(view.read(at, size))
    if table.Signature != ondisk.REGION_SIGNATURE or table.EntryCount > MOST_REGIONS:
        raise StructureError("a VHDX without its regions")
    rows = ondisk.REGION.iter_unpack(view.read(at + size, table.EntryCount * ondisk.REGION.size))
    return {uuid.UUID(bytes_le=row.Guid): row.FileOffset for row in rows}


def _metadata(view: View, start: int) -> dict[uuid.UUID, bytes]:
    """Id of an item -> its value."""
    size = ondisk.METADATA_TABLE.size
    table = ondisk.METADATA_TABLE.unpack(view.read(start, size))
    if table.Signature != ondisk.METADATA_SIGNATURE or table.EntryCount > MOST_ITEMS:
        raise StructureError("a VHDX without its metadata")
    rows = ondisk.METADATA.iter_unpack(view.read(start + size, table.EntryCount * ondisk.METADATA.size))
    return {
        uuid.UUID(bytes_le=row.ItemId): view.read(start + row.Offset, min(row.Length, LARGEST_ITEM)) for row in rows
    }


def _extents(view: View, start: int, size: int, block: int, chunk: int) -> Iterator[ViewSlice]:
    blocks = -(-size // block)
    count = blocks + (blocks - 1) // chunk
    entries = struct.unpack(f"<{count}Q", view.read(start, count * 8))
    for number in range(blocks):
        entry, left = entries[number + number // chunk], min(block, size - number * block)
        if entry & ondisk.STATES == ondisk.PARTIALLY_PRESENT:
            raise StructureError("a VHDX with blocks of a parent")
        present = entry & ondisk.STATES == ondisk.FULLY_PRESENT
        yield ViewSlice(view, entry >> 20 << 20, left) if present else ViewSlice(None, 0, left)


READER = Reader("VHDX", recognises, read)
