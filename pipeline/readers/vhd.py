"""VHD disk images, fixed and dynamic (Microsoft, "Virtual Hard Disk Image Format Specification", 1.0)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from pipeline.ondisk import vhd as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import ConcatView, View, ViewSlice, subview

SECTOR = 512
MOST_BLOCKS = 1 << 20
"""Maximum number of blocks of a dynamic disk: 2 TiB in the usual blocks of 2 MiB, which is the format's own limit."""


def recognises(view: View) -> bool:
    return view.size >= SECTOR and view.read(view.size - SECTOR, 8) == ondisk.COOKIE


def read(view: View) -> Listing:
    """Lists `disk`: the guest's view. The footer's time stamp counts seconds since 2000."""
    footer = ondisk.FOOTER.unpack(view.read(view.size - SECTOR, SECTOR))
    if footer.disk_type == ondisk.FIXED:
        disk = subview(view, 0, view.size - SECTOR)
    elif footer.disk_type == ondisk.DYNAMIC:
        disk = ConcatView(_extents(view, footer.data_offset, footer.current_size))
    else:
        raise StructureError(f"a VHD of type {footer.disk_type}")
    properties: dict[str, str | int] = {
        "type": footer.disk_type, "time stamp": footer.time_stamp, "identity": str(uuid.UUID(bytes=footer.unique_id)),
        "size": footer.current_size, "creator": footer.creator_application.decode("latin-1"),
        "host": footer.creator_host_os.decode("latin-1"), "geometry": footer.disk_geometry.hex(),
    }  # fmt: skip
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", properties, None, {"bytes": view.size})}


def _extents(view: View, start: int, size: int) -> Iterator[ViewSlice]:
    header = ondisk.DYNAMIC_HEADER.unpack(view.read(start, ondisk.DYNAMIC_HEADER.size))
    block, count = header.block_size, header.max_table_entries
    if header.cookie != ondisk.DYNAMIC_COOKIE or not block or count > MOST_BLOCKS:
        raise StructureError("a dynamic VHD without its header")
    bitmap = -(-block // SECTOR // 8 // SECTOR) * SECTOR
    left = size
    for sector in struct.unpack(f">{count}I", view.read(header.table_offset, count * 4)):
        length = min(block, left)
        left -= length
        yield (
            ViewSlice(None, 0, length) if sector == ondisk.UNUSED else ViewSlice(view, sector * SECTOR + bitmap, length)
        )


READER = Reader("VHD", recognises, read)
