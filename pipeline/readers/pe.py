"""Sections of EFI programs, a unified kernel image say (Microsoft, "PE Format"; UAPI Group Specifications, UKI)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.readers import HEADER, Listing, Node, Reader, Unreadable
from pipeline.readers.view import View, window

SECTION = 40
CERTIFICATES = 4
"""Number of the data directory that holds signatures; unlike the others it counts from the file's start."""


def recognises(view: View) -> bool:
    start = view.read(0, 64)
    return start[:2] == b"MZ" and len(start) == 64 and view.read(int.from_bytes(start[60:], "little"), 4) == b"PE\0\0"


def read(view: View) -> Listing:
    """`.linux`, `.initrd`, … as long as they are in memory, without what pads them in the file."""
    start = int.from_bytes(view.read(60, 4), "little") + 4
    machine, count, stamp, _, _, optional, flags = struct.unpack("<HHIIIHH", view.read(start, 20))
    listing: dict[str, Node] = {}
    for name, node in _sections(view, start + 20 + optional, count):
        while name in listing:  # multi-profile images repeat sections
            name += "'"
        listing[name] = node
    header = view.read(start + 20, optional)
    directories = start + 20 + (112 if header[:2] == b"\x0b\x02" else 96)
    offset, size = struct.unpack("<II", view.read(directories + 8 * CERTIFICATES, 8))
    if optional > 96 and size:
        listing["(certificates)"] = Node("certificates", {}, window(view, offset, size))
    facts: dict[str, str | int] = {"machine": f"{machine:#06x}", "time stamp": stamp, "flags": f"{flags:#06x}"}
    listing[HEADER] = Node("program", facts, None, {"checksum": f"{int.from_bytes(header[64:68], 'little'):#010x}"})
    return listing


def _sections(view: View, table: int, count: int) -> Iterator[tuple[str, Node]]:
    for number in range(count):
        entry = view.read(table + SECTION * number, SECTION)
        if len(entry) < SECTION:
            raise Unreadable("a PE with fewer sections than it says")
        name, virtual, address, raw, offset, *_, flags = struct.unpack("<8sIIIIIIHHI", entry)
        content = window(view, offset, min(virtual or raw, raw))
        place = {"address": f"{address:#x}", "offset": offset}
        yield name.rstrip(b"\0").decode("latin-1"), Node("section", {"flags": f"{flags:#x}"}, content, place)


READER = Reader("PE", recognises, read)
