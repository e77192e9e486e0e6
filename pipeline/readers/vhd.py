"""VHD disk images, fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification", 1.0)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from pipeline.readers import HEADER, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Mosaic, View, window

SECTOR = 512
FIXED, DYNAMIC = 2, 3
UNUSED = 0xFFFFFFFF
MOST_BLOCKS = 1 << 20
"""Blocks of a dynamic disk: 2 TiB of them at their usual 2 MiB, which is what the format allows."""


def recognises(view: View) -> bool:
    return view.size >= SECTOR and view.read(view.size - SECTOR, 8) == b"conectix"


def read(view: View) -> Listing:
    """`disk`: what the guest sees. The footer's time stamp counts seconds since 2000."""
    footer = view.read(view.size - SECTOR, SECTOR)
    start, stamp, creator, _, host, _, size, geometry, kind = struct.unpack_from(">QI4sI4sQQ4sI", footer, 16)
    if kind == FIXED:
        disk = window(view, 0, view.size - SECTOR)
    elif kind == DYNAMIC:
        disk = Mosaic(_extents(view, start, size))
    else:
        raise Unreadable(f"a VHD of type {kind}")
    facts: dict[str, str | int] = {
        "type": kind, "time stamp": stamp, "identity": str(uuid.UUID(bytes=footer[68:84])), "size": size,
        "creator": creator.decode("latin-1"), "host": host.decode("latin-1"), "geometry": geometry.hex(),
    }  # fmt: skip
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", facts, None, {"bytes": view.size})}


def _extents(view: View, start: int, size: int) -> Iterator[Extent]:
    header = view.read(start, 1024)
    table, _, count, block = struct.unpack_from(">QIII", header, 16)
    if header[:8] != b"cxsparse" or not block or count > MOST_BLOCKS:
        raise Unreadable("a dynamic VHD without its header")
    bitmap = -(-block // SECTOR // 8 // SECTOR) * SECTOR
    left = size
    for sector in struct.unpack(f">{count}I", view.read(table, count * 4)):
        length = min(block, left)
        left -= length
        yield Extent(None, 0, length) if sector == UNUSED else Extent(view, sector * SECTOR + bitmap, length)


READER = Reader("VHD", recognises, read)
