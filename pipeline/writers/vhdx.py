"""VHDX disk images, dynamic, for Hyper-V's second generation of machines. Blocks are taken by reference.

Source: [MS-VHDX], Virtual Hard Disk v2 (VHDX) File Format, whose sections the comments name. The file is: identifier,
two headers, two region tables, an empty log, metadata, block allocation table (BAT), blocks. Blocks that are all hole
are left out. Everything starts at a whole MiB, which is also the smallest block: a node is small, so its image is.
Identities come from the caller.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import pack
from uuid import UUID

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import Structure
from pipeline.ondisk import vhdx as ondisk
from pipeline.ondisk.vhdx import KIB, MIB
from pipeline.writers import disk
from pipeline.writers.crc32c import ONES, crc32c
from pipeline.writers.extents import allocated, runs, to_bytes

VERSION = 1
LARGEST = 64 << 40
"""Maximum size of a disk, in bytes: 64 TiB (2.6.2.2, Virtual Disk Size)."""
BLOCK = MIB
SECTOR = 512
PHYSICAL_SECTOR = 4096
"""Hyper-V's default: writes of whole 4 KiB are best."""
CHUNK = ondisk.bat_chunk(SECTOR, BLOCK)
CREATOR = "nodekiln"
LOG, METADATA, BAT = 1 * MIB, 2 * MIB, 3 * MIB
"""Offsets of these areas; the BAT takes the rest that it needs."""
ITEMS = 64 * KIB
"""Offset of the items' values in the metadata area."""


def write(content: Content, out: Sink, identify: Callable[[str, Content], UUID]) -> None:
    """Writes the raw disk `content` (a multiple of 512 bytes). FormatError for more than LARGEST.

    identify: returns the identities of the file, its data and the disk for a purpose and the content.
    """
    disk.check(content, LARGEST, "a VHDX")
    blocks = -(-length(content) // BLOCK)
    table = array("Q", bytes(8 * (blocks + (blocks - 1) // CHUNK)))
    room = len(table) * 8 + -(len(table) * 8) % MIB
    place = BAT + room
    for run in runs(content, BLOCK):
        for block in range(run.first, run.end):
            table[block + block // CHUNK] = place | ondisk.FULLY_PRESENT  # whole MiB: the bits below are free
            place += BLOCK
    start = out.tell()
    for offset, head in (*_heads(content, room, identify), (BAT, to_bytes(table, "little"))):
        out.zeros(start + offset - out.tell())
        out.write(head)
    out.zeros(start + BAT + room - out.tell())
    for _, data in allocated(content, BLOCK):
        out.extend(data)
        out.zeros(-length(data) % BLOCK)


def _heads(content: Content, room: int, identify: Callable[[str, Content], UUID]) -> list[tuple[int, bytes]]:
    """Returns the structures before the BAT of `room` bytes: (offset, bytes)."""
    file, data = identify("vhdx file", content), identify("vhdx data", content)
    identifier = ondisk.IDENTIFIER.pack(Creator=CREATOR.encode("utf-16-le"))
    headers = [_header(number, file, data) for number in (1, 2)]
    metadata = _metadata(length(content), identify("vhdx disk", content))
    return [
        (0, identifier),
        *zip(ondisk.HEADERS, headers, strict=True),
        *((offset, _region_table(room)) for offset in ondisk.REGION_TABLES),
        *zip((METADATA, METADATA + ITEMS), metadata, strict=True),
    ]


def _header(sequence: int, file: UUID, data: UUID) -> bytes:
    """A header (2.2.2): of the two, the one with the higher sequence number counts. No log id: the log is empty."""
    header = ondisk.HEADER.pack(
        SequenceNumber=sequence, FileWriteGuid=file.bytes_le, DataWriteGuid=data.bytes_le, LogLength=MIB, LogOffset=LOG
    )
    return _add_checksum(ondisk.HEADER, header, ondisk.HEADER_SIZE)


def _region_table(room: int) -> bytes:
    """Returns a region table (2.2.3): the places of BAT and metadata."""
    regions = [(ondisk.BAT_REGION, BAT, room), (ondisk.METADATA_REGION, METADATA, MIB)]
    rows = [ondisk.REGION.pack(Guid=guid.bytes_le, FileOffset=place, Length=size) for guid, place, size in regions]
    table = ondisk.REGION_TABLE.pack(EntryCount=len(rows)) + b"".join(rows)
    return _add_checksum(ondisk.REGION_TABLE, table, ondisk.REGION_TABLE_SIZE)


def _metadata(size: int, disk: UUID) -> tuple[bytes, bytes]:
    """The metadata table (2.6.1) and the items' values (2.6.2)."""
    of_disk = ondisk.IS_REQUIRED | ondisk.IS_VIRTUAL_DISK
    items = [
        (ondisk.FILE_PARAMETERS, ondisk.IS_REQUIRED, ondisk.PARAMETERS.pack(BlockSize=BLOCK)),  # dynamic, no parent
        (ondisk.VIRTUAL_DISK_SIZE, of_disk, pack("<Q", size)),
        (ondisk.VIRTUAL_DISK_ID, of_disk, disk.bytes_le),
        (ondisk.LOGICAL_SECTOR_SIZE, of_disk, pack("<I", SECTOR)),
        (ondisk.PHYSICAL_SECTOR_SIZE, of_disk, pack("<I", PHYSICAL_SECTOR)),
    ]
    table, values = ondisk.METADATA_TABLE.pack(EntryCount=len(items)), b""
    for item, flags, value in items:
        offset = ITEMS + len(values)
        table += ondisk.METADATA.pack(ItemId=item.bytes_le, Offset=offset, Length=len(value), Flags=flags)
        values += value
    return table, values


def _add_checksum(structure: Structure, fields: bytes, size: int) -> bytes:
    """A structure of `size` bytes that starts with `fields`, with its checksum over all of it."""
    data = bytearray(fields.ljust(size, b"\0"))
    structure.patch(data, Checksum=crc32c(ONES, data) ^ ONES)
    return bytes(data)
