"""VHDX disk images, fixed and dynamic ([MS-VHDX], Virtual Hard Disk v2 File Format), with an empty log."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from pipeline.readers import HEADER, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Mosaic, View

KIB, MIB = 1 << 10, 1 << 20
HEADERS = (64 * KIB, 128 * KIB)
REGIONS = 192 * KIB
BAT_REGION = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
MOST_REGIONS, MOST_ITEMS = 2047, 2047
"""What their tables have room for."""
LARGEST_ITEM = 1 * MIB
MOST_BLOCKS = 1 << 22
"""4 TiB in the smallest of blocks: twice what any other kind of image here can say."""
HAS_PARENT = 2
PRESENT, PARTLY = 6, 7
"""States of a block; all others are zeros."""


def recognises(view: View) -> bool:
    return view.read(0, 8) == b"vhdxfile"


def read(view: View) -> Listing:
    """`disk`: what the guest sees."""
    header = max((view.read(place, 80) for place in HEADERS), key=_sequence)
    if header[:4] != b"head" or any(header[48:64]):
        raise Unreadable("a VHDX whose log is to be replayed first")
    regions = _regions(view)
    items = _metadata(view, regions[METADATA_REGION])
    block, flags = struct.unpack("<II", items[PARAMETERS])
    (size,) = struct.unpack("<Q", items[DISK_SIZE])
    (sector,) = struct.unpack("<I", items[SECTOR_SIZE])
    if flags & HAS_PARENT or not MIB <= block <= 256 * MIB or sector not in (512, 4096) or size > MOST_BLOCKS * block:
        raise Unreadable("a VHDX with a parent, or of sizes that are not known here")
    disk = Mosaic(_extents(view, regions[BAT_REGION], size, block, (sector << 23) // block))
    facts: dict[str, str | int] = {
        "size": size, "block": block, "sector": sector, "identity": str(uuid.UUID(bytes_le=items[DISK_ID])),
        "file": str(uuid.UUID(bytes_le=header[16:32])), "data": str(uuid.UUID(bytes_le=header[32:48])),
    }  # fmt: skip
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", facts, None, {"bytes": view.size})}


def _sequence(header: bytes) -> int:
    return int.from_bytes(header[8:16], "little") if header[:4] == b"head" else -1


def _regions(view: View) -> dict[uuid.UUID, int]:
    """Where each region starts."""
    signature, _, count = struct.unpack("<4sII", view.read(REGIONS, 12))
    if signature != b"regi" or count > MOST_REGIONS:
        raise Unreadable("a VHDX without its regions")
    entries = struct.iter_unpack("<16sQII", view.read(REGIONS + 16, count * 32))
    return {uuid.UUID(bytes_le=region): place for region, place, _, _ in entries}


def _metadata(view: View, start: int) -> dict[uuid.UUID, bytes]:
    signature, count = struct.unpack("<8s2xH", view.read(start, 12))
    if signature != b"metadata" or count > MOST_ITEMS:
        raise Unreadable("a VHDX without its metadata")
    entries = struct.iter_unpack("<16sIIII", view.read(start + 32, count * 32))
    return {
        uuid.UUID(bytes_le=item): view.read(start + place, min(size, LARGEST_ITEM))
        for item, place, size, _, _ in entries
    }


def _extents(view: View, start: int, size: int, block: int, chunk: int) -> Iterator[Extent]:
    blocks = -(-size // block)
    count = blocks + (blocks - 1) // chunk
    entries = struct.unpack(f"<{count}Q", view.read(start, count * 8))
    for number in range(blocks):
        entry, left = entries[number + number // chunk], min(block, size - number * block)
        if entry & 7 == PARTLY:
            raise Unreadable("a VHDX with blocks of a parent")
        yield Extent(view, entry >> 20 << 20, left) if entry & 7 == PRESENT else Extent(None, 0, left)


READER = Reader("VHDX", recognises, read)
