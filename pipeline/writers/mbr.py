"""The master boot record: four partitions, a disk id and 440 bytes of code in a disk's first sector.

Source: UEFI 2.10, 5.2.1; the partition types are those that every system's partitioning tools list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack
from typing import NamedTuple
from uuid import UUID

from pipeline.tree import Content, Sink, length

VERSION = 1
SECTOR = 512
FIRST = 2048
"""Where the first partition starts, in sectors: at 1 MiB, as every partitioning tool has it."""
FAT = {16: 0x0E, 32: 0x0C}
"""By the width of the table; addressed by sector (LBA)."""
LINUX = 0x83
LINUX_SWAP = 0x82
EFI_SYSTEM = 0xEF
PROTECTIVE = 0xEE
CODE = 440
MOST = 4
"""Partitions. (Extended ones are not made.)"""
LAST_CYLINDER = (254, 255, 255)
"""Head, sector and cylinder of what lies beyond the reach of such addresses."""


class Partition(NamedTuple):
    first: int
    """In sectors."""
    sectors: int
    kind: int
    active: bool = False


class Volume(NamedTuple):
    """What becomes a partition."""

    content: Content
    kind: int


def write_disk(
    volumes: Sequence[Volume], size: int, out: Sink, identify: Callable[..., UUID], code: bytes = b""
) -> None:
    """Write a disk of `size` bytes with `volumes` (whole MiB each): from 1 MiB on, one behind the other.

    The first is active. `identify` gives the disk's identity, called with the volumes' contents.
    """
    partitions, place = [], FIRST
    for number, volume in enumerate(volumes):
        sectors = length(volume.content) // SECTOR
        partitions.append(Partition(place, sectors, volume.kind, active=not number))
        place += sectors
    start = out.tell()
    out.write(record(partitions, identify(*(volume.content for volume in volumes)).time_low, code))
    out.zeros((FIRST - 1) * SECTOR)
    for volume in volumes:
        out.extend(volume.content)
    out.zeros(start + size - out.tell())


def record(partitions: Sequence[Partition], disk: int, code: bytes = b"") -> bytes:
    """The first sector of a disk. `disk` is its 32-bit id, `code` what the BIOS starts (at most 440 bytes)."""
    if len(code) > CODE or len(partitions) > MOST:
        raise ValueError(f"a boot record holds {CODE} bytes of code and {MOST} partitions")
    table = b"".join(_entry(partition) for partition in partitions)
    return code.ljust(CODE, b"\0") + pack("<IH", disk, 0) + table.ljust(64, b"\0") + b"\x55\xaa"


def _entry(p: Partition) -> bytes:
    status = 0x80 if p.active else 0
    return pack("<B3sB3sII", status, _chs(p.first), p.kind, _chs(p.first + p.sectors - 1), p.first, p.sectors)


def _chs(sector: int) -> bytes:
    """Cylinder, head and sector of `sector` on a disk of 255 heads and 63 sectors."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return bytes(LAST_CYLINDER)
    head, sector = divmod(rest, 63)
    return bytes((head, sector + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))
