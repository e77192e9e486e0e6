"""Partition tables: the boot record's (MBR) and GUID partition tables (UEFI Specification 2.10, chapter 5)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from pipeline.readers import HEADER, Listing, Node, Reader
from pipeline.readers.view import View, window

"""After everything else: a boot sector of FAT and an ISO for a USB stick end with the same 55 AA."""

SECTOR = 512
PROTECTIVE = 0xEE
MOST_PARTITIONS = 1024
"""Entries of a GUID partition table: eight times what every tool makes."""


def recognises(view: View) -> bool:
    record = view.read(0, SECTOR)
    return record[510:] == b"\x55\xaa" and any(record[450 + 16 * number] for number in range(4))


def read(view: View) -> Listing:
    """`boot code`, then `partition 1`, … with what the table says of them."""
    record = view.read(0, SECTOR)
    listing = {"boot code": Node("code", {}, window(view, 0, 440))}
    types = [record[450 + 16 * number] for number in range(4)]
    if PROTECTIVE in types and view.read(SECTOR, 8) == b"EFI PART":
        listing.update(_gpt(view))
    else:
        listing.update(_mbr(view, record))
    listing[HEADER] = Node("table", {"disk signature": record[440:444][::-1].hex()} | _gpt_header(view), None)
    return listing


def _mbr(view: View, record: bytes) -> Iterator[tuple[str, Node]]:
    for number in range(4):
        status, first_chs, kind, last_chs, start, count = struct.unpack_from("<B3sB3sII", record, 446 + 16 * number)
        if kind:
            facts: dict[str, str | int] = {"type": f"0x{kind:02x}", "active": int(status == 0x80)}
            content = window(view, start * SECTOR, count * SECTOR)
            place = {"first sector": start, "sectors": count, "CHS": f"{first_chs.hex()} {last_chs.hex()}"}
            yield f"partition {number + 1}", Node("partition", facts, content, place)


def _gpt_header(view: View) -> dict[str, str | int]:
    header = view.read(SECTOR, 92)
    return {"disk GUID": str(uuid.UUID(bytes_le=header[56:72]))} if header[:8] == b"EFI PART" else {}


def _gpt(view: View) -> Iterator[tuple[str, Node]]:
    header = view.read(SECTOR, 92)
    table, count, size = struct.unpack_from("<QII", header, 72)
    for number in range(min(count, MOST_PARTITIONS)):
        entry = view.read(table * SECTOR + number * size, 128)
        kind, identity, first, last, attributes, name = struct.unpack("<16s16sQQQ72s", entry)
        if any(kind):
            facts = {
                "type": str(uuid.UUID(bytes_le=kind)), "GUID": str(uuid.UUID(bytes_le=identity)),
                "name": name.decode("utf-16-le").rstrip("\0"), "attributes": f"{attributes:#x}",
            }  # fmt: skip
            content = window(view, first * SECTOR, (last - first + 1) * SECTOR)
            place = {"first sector": first, "last sector": last}
            yield f"partition {number + 1}", Node("partition", facts, content, place)


READER = Reader("disk", recognises, read, order=90)
