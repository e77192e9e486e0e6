"""The GUID partition table, with its protective (or hybrid) boot record in front and its copy at the end.

Source: UEFI 2.10, 5.3. Identities come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import gpt as ondisk
from pipeline.ondisk.mbr import PROTECTIVE, SECTOR
from pipeline.writers import FormatError, mbr

VERSION = 1
ENTRIES = 128
"""Maximum number of partitions (5.3.1, NumberOfPartitionEntries: the usual number)."""
LONGEST_NAME = 36
"""Maximum length of a partition's name, in UTF-16 units (5.3.3, PartitionName)."""
TABLE = ENTRIES * ondisk.ENTRY.size // SECTOR
"""Sectors of a table."""
TAIL = TABLE + 1
"""Sectors at the end of a disk that hold the copy."""
EFI_SYSTEM = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_DATA = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
LINUX_SWAP = UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")
BASIC_DATA = UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
"""FAT that is not an EFI system partition."""
BIOS_BOOTABLE = 1 << 2
"""Attribute "legacy BIOS bootable", which Syslinux's GPT boot code looks for."""


class GptPartition(NamedTuple):
    first: int
    """Its first sector."""
    sectors: int
    kind: UUID
    identity: UUID
    name: str
    """At most LONGEST_NAME UTF-16 units."""
    attributes: int = 0


class GptVolume(NamedTuple):
    """A partition's content and type."""

    content: Content
    name: str
    kind: UUID
    attributes: int = 0


def write(partitions: Sequence[GptPartition], sectors: int, disk: UUID, code: bytes = b"") -> tuple[bytes, bytes]:
    """Returns the first 34 sectors of a disk with `sectors` of them, and the last 33. code: what a BIOS starts.

    FormatError for more partitions than the table, or the disk, can hold.
    """
    if len(partitions) > ENTRIES:
        raise FormatError(
            f"{len(partitions)} partitions; a GUID partition table has room for {ENTRIES}: leave some out"
        )
    end = max((partition.first + partition.sectors for partition in partitions), default=2 + TABLE)
    if end > sectors - TAIL:
        room = f"the disk has room for {max(sectors - TAIL, 0) * SECTOR}"
        raise FormatError(f"partitions that end at byte {end * SECTOR}; {room}: give it another size")
    table = b"".join(_entry(partition) for partition in partitions).ljust(TABLE * SECTOR, b"\0")
    protective = mbr.MbrPartition(1, min(sectors - 1, 0xFFFFFFFF), PROTECTIVE)
    head = mbr.record([protective], 0, code)
    last = sectors - 1
    first_header = _header(1, last, 2, sectors, disk, table)
    return head + first_header + table, table + _header(last, 1, last - TABLE, sectors, disk, table)


def write_disk(
    volumes: Sequence[GptVolume], size: int, out: Sink, identify: Callable[..., UUID], code: bytes = b""
) -> None:
    """Writes a disk of `size` bytes with `volumes` (whole MiB each), contiguous from 1 MiB on.

    They end at least 1 MiB before the disk does. identify: returns the identities of the disk and of the partitions for
    a purpose and contents.
    """
    partitions, place = [], mbr.FIRST
    for number, volume in enumerate(volumes):
        sectors = length(volume.content) // SECTOR
        identity = identify(f"partition {number} {volume.name}" if number else "partition", volume.content)
        partitions.append(GptPartition(place, sectors, volume.kind, identity, volume.name, volume.attributes))
        place += sectors
    identity = identify("disk", *(volume.content for volume in volumes))
    start = out.tell()
    head, tail = write(partitions, size // SECTOR, identity, code)
    out.write(head)
    out.zeros(mbr.FIRST * SECTOR - len(head))
    for volume in volumes:
        out.extend(volume.content)
    out.zeros(start + size - len(tail) - out.tell())
    out.write(tail)


def _entry(partition: GptPartition) -> bytes:
    name = partition.name.encode("utf-16-le")
    if len(name) > 2 * LONGEST_NAME:
        room = f"a GUID partition table has room for {LONGEST_NAME} UTF-16 units"
        raise FormatError(f"partition {partition.name!r}: a name of {len(name) // 2}; {room}: shorten it")
    return ondisk.ENTRY.pack(
        PartitionTypeGUID=partition.kind.bytes_le, UniquePartitionGUID=partition.identity.bytes_le,
        StartingLBA=partition.first, EndingLBA=partition.first + partition.sectors - 1,
        Attributes=partition.attributes, PartitionName=name,
    )  # fmt: skip


def _header(place: int, other: int, table_place: int, sectors: int, disk: UUID, table: bytes) -> bytes:
    data = bytearray(ondisk.HEADER.pack(
        MyLBA=place, AlternateLBA=other, FirstUsableLBA=2 + TABLE, LastUsableLBA=sectors - 2 - TABLE,
        DiskGUID=disk.bytes_le, PartitionEntryLBA=table_place, NumberOfPartitionEntries=ENTRIES,
        SizeOfPartitionEntry=ondisk.ENTRY.size, PartitionEntryArrayCRC32=crc32(table),
    ))  # fmt: skip
    ondisk.HEADER.patch(data, HeaderCRC32=crc32(data))
    return bytes(data).ljust(SECTOR, b"\0")
