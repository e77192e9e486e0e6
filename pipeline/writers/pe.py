"""Unified kernel images: an EFI program with a kernel, its initrd and its command line in sections of their own.

Source: Microsoft, PE Format; uapi-group.org/specifications/specs/unified_kernel_image for the sections' names. The
stub (systemd's) is somebody else's program; sections are appended to it, and its symbol table, which nothing loads, is
dropped. Works for any machine that the stub is for (x86-64, AArch64).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import error, pack, pack_into, unpack_from
from typing import NamedTuple

from pipeline.model.tree import Content, Sink, length
from pipeline.writers import Unwritable

VERSION = 1
SECTION = 40
DATA = 0x40000040
"""Characteristics of a section: initialised data, readable."""
PAGE = 4096
"""Sections start at a page of memory, whatever the stub asks for."""
LARGEST = (1 << 32) - 1
"""Maximum size of a program, in bytes, in its file and in memory (Section Table: PointerToRawData and VirtualAddress
have 32 bits)."""
LONGEST_NAME = 8
"""Maximum length of a section's name, in bytes (Section Table, Name)."""
OPTIONAL = {0x20B: 112, 0x10B: 96}
"""Where the data directories start in the optional header, by its magic (PE32+, PE32)."""
CERTIFICATES = 4
"""The data directory that a signature would be in."""


MACHINES = {0x8664: "X64", 0xAA64: "AA64", 0x5064: "RISCV64"}
"""How UEFI (2.10, 3.5.1.1) calls the machines in the name of the file that it boots by default."""

Wordsum = Callable[[Content], int]
"""The sum of a content's little-endian 16-bit words, modulo 2^16 - 1."""


class Stub(NamedTuple):
    """What has to be known of the program that sections are appended to."""

    data: bytes
    """Headers and sections, without symbols and signature."""
    machine: int
    header: int
    """Where the COFF header starts."""
    optional: int
    table: int
    """Where the section table starts."""
    sections: int
    section_alignment: int
    file_alignment: int
    end: int
    """The address behind the last section in memory."""


def stub(unsafe_data: bytes) -> Stub:
    """Read a stub; Unwritable if it is no PE program that can take more sections."""
    try:
        return _stub(unsafe_data)
    except (ValueError, KeyError, error) as problem:
        raise Unwritable(f"the EFI stub is no PE program: {problem}") from None


def write(stub: Stub, sections: Sequence[tuple[str, Content]], wordsum: Wordsum, out: Sink) -> None:
    """Write the program with `sections` (name, content) appended; of their contents only the sums are wanted."""
    added, place, address = b"", _aligned(len(stub.data), stub.file_alignment), stub.end
    padded: list[Content | bytes] = [bytes(place - len(stub.data))]
    for name, content in sections:
        size = length(content)
        room = _aligned(size, stub.file_alignment)
        address = _aligned(address, max(stub.section_alignment, PAGE))
        _check(name, max(place + room, _aligned(address + size, stub.section_alignment)))
        added += pack("<8sIIIIIIHHI", name.encode(), size, address, room, place, 0, 0, 0, 0, DATA)
        padded += [content, bytes(room - size)]
        place, address = place + room, address + size
    head = bytearray(_headers(stub, added, len(sections), _aligned(address, stub.section_alignment)))
    total = int.from_bytes(head, "little") + sum(wordsum(content) for _, content in sections)  # 2^16 is 1 modulo 65535
    pack_into("<I", head, stub.optional + 64, ((total - 1) % 0xFFFF + 1 + place) & 0xFFFFFFFF)
    out.write(bytes(head))
    for piece in padded:
        if isinstance(piece, bytes):
            out.write(piece)
        else:
            out.extend(piece)


def _check(name: str, end: int) -> None:
    """Unwritable for a section that ends beyond the reach of a program, or has too long a name."""
    if end > LARGEST:
        room = f"an EFI program has room for {LARGEST}: make the node smaller, or take a format without one (raw-bios)"
        raise Unwritable(f"section {name} that ends at byte {end}; {room}")
    if len(name.encode()) > LONGEST_NAME:
        raise Unwritable(f"section {name}; an EFI program has room for names of {LONGEST_NAME} bytes: shorten it")


def _stub(data: bytes) -> Stub:
    (start,) = unpack_from("<I", data, 60)
    if data[:2] != b"MZ" or data[start : start + 4] != b"PE\0\0":
        raise ValueError("it has no PE header")
    header, optional = start + 4, start + 24
    machine, count, _, _, _, optional_size, _ = unpack_from("<HHIIIHH", data, header)
    (magic,) = unpack_from("<H", data, optional)
    section_alignment, file_alignment = unpack_from("<II", data, optional + 32)
    if not file_alignment or file_alignment % 2:
        raise ValueError(f"its sections are aligned to {file_alignment} bytes")
    (directories,) = unpack_from("<I", data, optional + OPTIONAL[magic] - 4)
    table = optional + optional_size
    rows = [unpack_from("<8sIIIIIIHHI", data, table + number * SECTION) for number in range(count)]
    end_of_file = max(row[4] + row[3] for row in rows)
    kept = bytearray(data[:end_of_file])
    pack_into("<II", kept, header + 8, 0, 0)
    if directories > CERTIFICATES:
        pack_into("<II", kept, optional + OPTIONAL[magic] + 8 * CERTIFICATES, 0, 0)
    end = max(row[2] + max(row[1], row[3]) for row in rows)
    return Stub(bytes(kept), machine, header, optional, table, count, section_alignment, file_alignment, end)


def _headers(stub: Stub, added: bytes, count: int, image_size: int) -> bytes:
    """The stub with more sections in its table."""
    (room,) = unpack_from("<I", stub.data, stub.optional + 60)
    start = stub.table + stub.sections * SECTION
    if start + len(added) > room:
        raise Unwritable(f"the EFI stub's header has no room for {count} more sections")
    data = bytearray(stub.data)
    data[start : start + len(added)] = added
    pack_into("<H", data, stub.header + 2, stub.sections + count)
    pack_into("<I", data, stub.optional + 56, image_size)
    pack_into("<I", data, stub.optional + 64, 0)
    return bytes(data)


def _aligned(value: int, alignment: int) -> int:
    return value + -value % alignment


def machine(data: bytes) -> int:
    """The machine that a program is for, from its first bytes."""
    (start,) = unpack_from("<I", data, 60)
    return int(unpack_from("<H", data, start + 4)[0])
