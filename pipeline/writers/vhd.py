"""VHD disk images, fixed and dynamic, as Azure and Hyper-V read them.

Source: Microsoft, Virtual Hard Disk Image Format Specification (2006-10-11). A fixed image is the disk with a footer;
a dynamic one has a table of 2 MiB blocks, of which those that are all hole are left out. Time stamps are zero
(2000-01-01), the unique id comes from the caller.
"""

from __future__ import annotations

from array import array
from struct import pack
from uuid import UUID

from pipeline.model.tree import Content, Sink, cut, length
from pipeline.ondisk import Structure
from pipeline.ondisk import vhd as ondisk
from pipeline.writers import disk
from pipeline.writers.extents import allocated, runs, to_bytes

VERSION = 1
SECTOR = 512
BLOCK = 2 << 20
BITMAP = SECTOR
"""Bytes before each block: a bit for each of its sectors, all set."""
LARGEST = 2040 << 30
"""Maximum size of a disk, in bytes: 2040 GiB ("Dynamic Disk Header Format", and the limit of Azure and Hyper-V for both
kinds)."""
MOST_SECTORS = 65535 * 16 * 255
"""Maximum number of sectors that the geometry can describe; larger disks have this one."""
TABLE = ondisk.FOOTER.size + ondisk.DYNAMIC_HEADER.size
"""Offset of a dynamic image's table: after a copy of the footer and its own header."""


def write_fixed(content: Content, out: Sink, identity: UUID) -> None:
    """Writes the raw disk `content` (whole MiB, as Azure requires) and the footer. FormatError for more than
    LARGEST."""
    disk.check(content, LARGEST, "a VHD")
    out.extend(content)
    out.write(_footer(ondisk.FIXED, length(content), identity))


def write_dynamic(content: Content, out: Sink, identity: UUID) -> None:
    """Writes the raw disk `content` (its size a multiple of 512 bytes) without the blocks that are hole. FormatError
    for more than LARGEST."""
    disk.check(content, LARGEST, "a VHD")
    size = length(content)
    found = runs(content, BLOCK)
    footer = _footer(ondisk.DYNAMIC, size, identity)
    table = array("I", [ondisk.UNUSED]) * -(-size // BLOCK)
    start = TABLE + len(table) * 4
    start += -start % SECTOR
    place = start // SECTOR
    for run in found:
        for block in range(run.first, run.end):
            table[block] = place
            place += (BITMAP + BLOCK) // SECTOR
    header = ondisk.DYNAMIC_HEADER.pack(table_offset=TABLE, max_table_entries=len(table), block_size=BLOCK)
    out.write(footer + _add_checksum(ondisk.DYNAMIC_HEADER, header))
    out.write(to_bytes(table, "big").ljust(start - TABLE, b"\xff"))
    for _, data in allocated(content, BLOCK):
        for offset in range(0, length(data), BLOCK):
            count = min(BLOCK, length(data) - offset)
            out.write(b"\xff" * BITMAP)
            out.extend(cut(data, offset, count))
            out.zeros(BLOCK - count)
    out.write(footer)


def _footer(kind: int, size: int, identity: UUID) -> bytes:
    """The hard disk footer. "win " makes QEMU take the size from here and not from the geometry, which rounds it."""
    footer = ondisk.FOOTER.pack(
        data_offset=ondisk.NOWHERE if kind == ondisk.FIXED else ondisk.FOOTER.size, creator_application=b"win ",
        creator_version=0x00060001, creator_host_os=b"Wi2k", original_size=size, current_size=size,
        disk_geometry=_geometry(size // SECTOR), disk_type=kind, unique_id=identity.bytes,
    )  # fmt: skip
    return _add_checksum(ondisk.FOOTER, footer)


def _add_checksum(structure: Structure, data: bytes) -> bytes:
    """`data` with its checksum: the complement of the sum of its bytes."""
    result = bytearray(data)
    structure.patch(result, checksum=~sum(data) & 0xFFFFFFFF)
    return bytes(result)


def _geometry(sectors: int) -> bytes:
    """Cylinders, heads and sectors a track (the specification's appendix, "CHS Calculation")."""
    sectors = min(sectors, MOST_SECTORS)
    if sectors >= 65535 * 16 * 63:
        return pack(">HBB", sectors // 255 // 16, 16, 255)
    track, heads = 17, max(4, -(-(sectors // 17) // 1024))
    if sectors // 17 >= heads * 1024 or heads > 16:
        track, heads = 31, 16
    if track == 31 and sectors // 31 >= heads * 1024:
        track, heads = 63, 16
    return pack(">HBB", sectors // track // heads, heads, track)
