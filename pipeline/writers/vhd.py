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
from pipeline.writers import disk
from pipeline.writers.extents import held, runs, words

VERSION = 1
SECTOR = 512
BLOCK = 2 << 20
BITMAP = SECTOR
"""In front of each block: a bit for each of its sectors, all set."""
UNUSED = 0xFFFFFFFF
NOWHERE = (1 << 64) - 1
FIXED, DYNAMIC = 2, 3
LARGEST = 2040 << 30
"""Maximum size of a disk, in bytes: 2040 GiB ("Dynamic Disk Header Format", and what Azure and Hyper-V take of both
kinds)."""
MOST_SECTORS = 65535 * 16 * 255
"""What cylinders, heads and sectors can say; larger disks say this much there."""
TABLE = 3 * SECTOR
"""Where a dynamic image's table starts: behind a copy of the footer and its own header."""


def write_fixed(content: Content, out: Sink, identity: UUID) -> None:
    """Write the raw disk `content` (whole MiB, as Azure wants it) and the footer. Unwritable for more than LARGEST."""
    disk.check(content, LARGEST, "a VHD")
    out.extend(content)
    out.write(_footer(FIXED, length(content), identity))


def write_dynamic(content: Content, out: Sink, identity: UUID) -> None:
    """Write the raw disk `content` (its size a multiple of 512 bytes) without the blocks that are hole. Unwritable for
    more than LARGEST."""
    disk.check(content, LARGEST, "a VHD")
    size = length(content)
    found = runs(content, BLOCK)
    footer = _footer(DYNAMIC, size, identity)
    table = array("I", [UNUSED]) * -(-size // BLOCK)
    start = TABLE + len(table) * 4
    start += -start % SECTOR
    place = start // SECTOR
    for run in found:
        for block in range(run.first, run.end):
            table[block] = place
            place += (BITMAP + BLOCK) // SECTOR
    out.write(footer + _dynamic_header(len(table)))
    out.write(words(table, "big").ljust(start - TABLE, b"\xff"))
    for _, data in held(content, BLOCK):
        for offset in range(0, length(data), BLOCK):
            count = min(BLOCK, length(data) - offset)
            out.write(b"\xff" * BITMAP)
            out.extend(cut(data, offset, count))
            out.zeros(BLOCK - count)
    out.write(footer)


def _footer(kind: int, size: int, identity: UUID) -> bytes:
    """The hard disk footer. "win " makes QEMU take the size from here and not from the geometry, which rounds it."""
    offset = NOWHERE if kind == FIXED else SECTOR
    head = pack(">8sIIQI4sI4s", b"conectix", 2, 0x00010000, offset, 0, b"win ", 0x00060001, b"Wi2k")
    body = pack(">QQ4sI", size, size, _geometry(size // SECTOR), kind)
    return _summed(head + body, identity.bytes + bytes(428))


def _dynamic_header(entries: int) -> bytes:
    head = pack(">8sQQIII", b"cxsparse", NOWHERE, TABLE, 0x00010000, entries, BLOCK)
    return _summed(head, bytes(1024 - len(head) - 4))


def _summed(before: bytes, behind: bytes) -> bytes:
    """`before` and `behind` with the checksum of both between them: the complement of the sum of their bytes."""
    return before + pack(">I", ~(sum(before) + sum(behind)) & 0xFFFFFFFF) + behind


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
