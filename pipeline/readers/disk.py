"""Partition tables: the boot record's (MBR) and GUID partition tables (UEFI Specification 2.10, chapter 5)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from pipeline.ondisk import gpt, mbr
from pipeline.ondisk.mbr import SECTOR
from pipeline.readers import HEADER, Listing, Node, Reader
from pipeline.readers.view import View, subview

MOST_PARTITIONS = 1024
"""Maximum number of entries of a GUID partition table: eight times the usual 128."""


def _record(view: View) -> tuple[Any, list[Any]]:
    """The boot record, and its four partitions."""
    record = mbr.RECORD.unpack(view.read(0, SECTOR).ljust(SECTOR, b"\0"))
    return record, list(mbr.PARTITION.iter_unpack(record.PartitionRecord))


def recognises(view: View) -> bool:
    record, partitions = _record(view)
    return record.Signature == mbr.SIGNATURE and any(each.OSType for each in partitions)


def read(view: View) -> Listing:
    """Lists `boot code`, then `partition 1`, … with their fields in the table."""
    record, partitions = _record(view)
    listing = {"boot code": Node("code", {}, subview(view, 0, len(record.BootCode)))}
    data = view.read(SECTOR, gpt.HEADER.size)
    header = gpt.HEADER.unpack(data) if data.startswith(gpt.SIGNATURE) else None
    if header and mbr.PROTECTIVE in [each.OSType for each in partitions]:
        listing.update(_gpt(view, header))
    else:
        listing.update(_mbr(view, partitions))
    properties: dict[str, str | int] = {"disk signature": f"{record.UniqueMBRDiskSignature:08x}"}
    if header:
        properties["disk GUID"] = str(uuid.UUID(bytes_le=header.DiskGUID))
    listing[HEADER] = Node("table", properties, None)
    return listing


def _mbr(view: View, partitions: list[Any]) -> Iterator[tuple[str, Node]]:
    for number, each in enumerate(partitions, 1):
        if each.OSType:
            properties: dict[str, str | int] = {
                "type": f"0x{each.OSType:02x}", "active": int(each.BootIndicator == mbr.ACTIVE),
            }  # fmt: skip
            content = subview(view, each.StartingLBA * SECTOR, each.SizeInLBA * SECTOR)
            chs = f"{each.StartingCHS.hex()} {each.EndingCHS.hex()}"
            place = {"first sector": each.StartingLBA, "sectors": each.SizeInLBA, "CHS": chs}
            yield f"partition {number}", Node("partition", properties, content, place)


def _gpt(view: View, header: Any) -> Iterator[tuple[str, Node]]:
    table, size = header.PartitionEntryLBA * SECTOR, header.SizeOfPartitionEntry
    for number in range(min(header.NumberOfPartitionEntries, MOST_PARTITIONS)):
        entry = gpt.ENTRY.unpack(view.read(table + number * size, gpt.ENTRY.size))
        if any(entry.PartitionTypeGUID):
            properties = {
                "type": str(uuid.UUID(bytes_le=entry.PartitionTypeGUID)),
                "GUID": str(uuid.UUID(bytes_le=entry.UniquePartitionGUID)),
                "name": entry.PartitionName.decode("utf-16-le").rstrip("\0"), "attributes": f"{entry.Attributes:#x}",
            }  # fmt: skip
            sectors = entry.EndingLBA - entry.StartingLBA + 1
            content = subview(view, entry.StartingLBA * SECTOR, sectors * SECTOR)
            place = {"first sector": entry.StartingLBA, "last sector": entry.EndingLBA}
            yield f"partition {number + 1}", Node("partition", properties, content, place)


READER = Reader("disk", recognises, read, order=90)
