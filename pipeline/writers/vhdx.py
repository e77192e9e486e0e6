"""VHDX disk images, dynamic, as Hyper-V's second generation of machines boots them. Blocks are taken by reference.

Source: [MS-VHDX], Virtual Hard Disk v2 (VHDX) File Format, whose sections the comments name. The file is: identifier,
two headers, two region tables, an empty log, metadata, block allocation table (BAT), blocks. Blocks that are all hole
are left out. Everything starts at a whole MiB, which is also the smallest block there is: a node is small, so its image
is. Identities come from the caller.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import pack
from uuid import UUID

from pipeline.model.tree import Content, Sink, length
from pipeline.writers import disk
from pipeline.writers.crc32c import ONES, crc32c
from pipeline.writers.extents import held, runs, words

VERSION = 1
KIB, MIB = 1 << 10, 1 << 20
LARGEST = 64 << 40
"""Maximum size of a disk, in bytes: 64 TiB (2.6.2.2, Virtual Disk Size)."""
BLOCK = MIB
SECTOR = 512
PHYSICAL_SECTOR = 4096
"""What Hyper-V says by itself: writes are best of whole 4 KiB."""
CHUNK = (1 << 23) * SECTOR // BLOCK
"""Blocks between two of the BAT's entries for sector bitmaps (2.5), of which only differencing disks have any."""
PRESENT = 6
"""PAYLOAD_BLOCK_FULLY_PRESENT (2.5.1.1)."""
CREATOR = "nodekiln"
LOG, METADATA, BAT = 1 * MIB, 2 * MIB, 3 * MIB
"""Where these areas start; the BAT takes what it needs."""
BAT_REGION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
REQUIRED, OF_DISK = 4, 2
"""Flags of a metadata item (2.6.1.2): readers must know it; it is about the disk, not the file."""
ITEMS = 64 * KIB
"""Where the items' values start, counted from the metadata area."""


def write(content: Content, out: Sink, identify: Callable[[str, Content], UUID]) -> None:
    """Write the raw disk `content` (its size a multiple of 512 bytes). Unwritable for more than LARGEST.

    `identify` gives the identities of the file, its data and the disk, called with a purpose and the content.
    """
    disk.check(content, LARGEST, "a VHDX")
    blocks = -(-length(content) // BLOCK)
    table = array("Q", bytes(8 * (blocks + (blocks - 1) // CHUNK)))
    room = len(table) * 8 + -(len(table) * 8) % MIB
    place = BAT + room
    for run in runs(content, BLOCK):
        for block in range(run.first, run.end):
            table[block + block // CHUNK] = place | PRESENT  # the number of MiB is in bits 20 and up: bytes, that is
            place += BLOCK
    start = out.tell()
    for offset, head in (*_heads(content, room, identify), (BAT, words(table, "little"))):
        out.zeros(start + offset - out.tell())
        out.write(head)
    out.zeros(start + BAT + room - out.tell())
    for _, data in held(content, BLOCK):
        out.extend(data)
        out.zeros(-length(data) % BLOCK)


def _heads(content: Content, room: int, identify: Callable[[str, Content], UUID]) -> list[tuple[int, bytes]]:
    """What is before the BAT of `room` bytes: (place, bytes)."""
    regions = _region_table(room)
    file, data = identify("vhdx file", content), identify("vhdx data", content)
    return [
        (0, b"vhdxfile" + CREATOR.encode("utf-16-le")),
        *((number * 64 * KIB, _header(number, file, data)) for number in (1, 2)),
        *((number * 64 * KIB, regions) for number in (3, 4)),
        *zip((METADATA, METADATA + ITEMS), _metadata(length(content), identify("vhdx disk", content)), strict=True),
    ]


def _header(sequence: int, file: UUID, data: UUID) -> bytes:
    """A header (2.2.2): of the two, the one with the higher sequence number counts. No log id: the log is empty."""
    versions = pack("<HHIQ", 0, 1, MIB, LOG)
    return _summed(b"head", pack("<Q", sequence) + file.bytes_le + data.bytes_le + bytes(16) + versions, 4 * KIB)


def _region_table(room: int) -> bytes:
    """Where the BAT and the metadata are (2.2.3)."""
    regions = [(BAT_REGION, BAT, room), (METADATA_REGION, METADATA, MIB)]
    entries = b"".join(region.bytes_le + pack("<QII", place, size, 1) for region, place, size in regions)
    return _summed(b"regi", pack("<II", len(regions), 0) + entries, 64 * KIB)


def _metadata(size: int, disk: UUID) -> tuple[bytes, bytes]:
    """The metadata table (2.6.1) and the items' values (2.6.2)."""
    items = [
        ("caa16737-fa36-4d43-b3b6-33f0aa44e76b", REQUIRED, pack("<II", BLOCK, 0)),  # dynamic, no parent
        ("2fa54224-cd1b-4876-b211-5dbed83bf4b8", REQUIRED | OF_DISK, pack("<Q", size)),
        ("beca12ab-b2e6-4523-93ef-c309e000c746", REQUIRED | OF_DISK, disk.bytes_le),
        ("8141bf1d-a96f-4709-ba47-f233a8faab5f", REQUIRED | OF_DISK, pack("<I", SECTOR)),
        ("cda348c7-445d-4471-9cc9-e9885251c556", REQUIRED | OF_DISK, pack("<I", PHYSICAL_SECTOR)),
    ]
    table, values = b"metadata" + pack("<HH20x", 0, len(items)), b""
    for item, flags, value in items:
        table += UUID(item).bytes_le + pack("<IIII", ITEMS + len(values), len(value), flags, 0)
        values += value
    return table, values


def _summed(signature: bytes, fields: bytes, size: int) -> bytes:
    """A structure of `size` bytes whose checksum, over all of it, stands behind its signature."""
    rest = fields.ljust(size - 8, b"\0")
    checksum = crc32c(ONES, signature + bytes(4) + rest) ^ ONES
    return signature + pack("<I", checksum) + rest
