"""The master boot record: four partitions, a disk id and 440 bytes of code in a disk's first sector.

Source: UEFI 2.10, 5.2.1; the partition types are those that every system's partitioning tools list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import mbr as ondisk
from pipeline.ondisk.mbr import SECTOR
from pipeline.writers import FormatError

VERSION = 1
FIRST = 2048
"""The first partition's first sector: at 1 MiB, as usual."""
CODE = 440
"""Maximum size of the boot code, in bytes."""
MOST = 4
"""Maximum number of partitions (5.2.1, PartitionRecord), without extended ones."""
MOST_SECTORS = (1 << 32) - 1
"""Maximum number of sectors of a partition, and in front of it: 2 TiB (5.2.1, StartingLBA and SizeInLBA)."""
LAST_CYLINDER = (254, 255, 255)
"""Head, sector and cylinder of a sector beyond the reach of such addresses."""


class MbrPartition(NamedTuple):
    first: int
    """Its first sector."""
    sectors: int
    kind: int
    active: bool = False


class MbrVolume(NamedTuple):
    """A partition's content and type."""

    content: Content
    kind: int


def write_disk(
    volumes: Sequence[MbrVolume], size: int, out: Sink, identify: Callable[..., UUID], code: bytes = b""
) -> None:
    """Writes a disk of `size` bytes with `volumes` (whole MiB each), contiguous from 1 MiB on.

    The first is active. identify: returns the disk's identity for the volumes' contents.
    """
    partitions, place = [], FIRST
    for number, volume in enumerate(volumes):
        sectors = length(volume.content) // SECTOR
        partitions.append(MbrPartition(place, sectors, volume.kind, active=not number))
        place += sectors
    if place * SECTOR > size:
        raise FormatError(f"partitions that end at byte {place * SECTOR}; the disk has {size}: give it another size")
    start = out.tell()
    out.write(record(partitions, identify(*(volume.content for volume in volumes)).time_low, code))
    out.zeros((FIRST - 1) * SECTOR)
    for volume in volumes:
        out.extend(volume.content)
    out.zeros(start + size - out.tell())


def record(partitions: Sequence[MbrPartition], disk: int, code: bytes = b"") -> bytes:
    """Returns the first sector of a disk. disk: its 32-bit id. code: the program that the BIOS starts (at most 440
    bytes).

    FormatError for what a boot record cannot hold.
    """
    if len(code) > CODE:
        raise FormatError(f"boot code of {len(code)} bytes; a boot record has room for {CODE}: take Debian's mbr.bin")
    if len(partitions) > MOST:
        room = f"a boot record has room for {MOST}"
        raise FormatError(f"{len(partitions)} partitions; {room}: leave some out, or take a disk for UEFI (raw-efi)")
    for number, each in enumerate(partitions, 1):
        if max(each.first, each.sectors) > MOST_SECTORS:
            place = f"partition {number}: {each.sectors * SECTOR} bytes from byte {each.first * SECTOR} on"
            room = f"a boot record has room for {MOST_SECTORS * SECTOR} each"
            raise FormatError(f"{place}; {room}: make it smaller, or take a disk for UEFI (raw-efi)")
    table = b"".join(_entry(partition) for partition in partitions)
    return ondisk.RECORD.pack(BootCode=code, UniqueMBRDiskSignature=disk, PartitionRecord=table)


def _entry(p: MbrPartition) -> bytes:
    status, last = ondisk.ACTIVE if p.active else 0, p.first + p.sectors - 1
    return ondisk.PARTITION.struct.pack(status, _chs(p.first), p.kind, _chs(last), p.first, p.sectors)


def _chs(sector: int) -> bytes:
    """Cylinder, head and sector of `sector` on a disk of 255 heads and 63 sectors."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return bytes(LAST_CYLINDER)
    head, sector = divmod(rest, 63)
    return bytes((head, sector + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))
