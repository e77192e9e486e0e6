"""Unified kernel images: an EFI program with a kernel, its initrd and its command line in sections of their own.

Source: Microsoft, PE Format; uapi-group.org/specifications/specs/unified_kernel_image for the sections' names. The
stub (systemd's) is somebody else's program; sections are appended to it, and its symbol table, which nothing loads, is
dropped. Works for any machine that the stub is for (x86-64, AArch64).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import error
from typing import Any, NamedTuple

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import pe as ondisk
from pipeline.writers import FormatError

VERSION = 1
DATA = 0x40000040
"""Characteristics of a section: initialised data, readable."""
PAGE = 4096
"""Alignment of sections in memory, in bytes; the stub may ask for less."""
LARGEST = (1 << 32) - 1
"""Maximum size of a program, in bytes, in its file and in memory (Section Table: PointerToRawData and VirtualAddress
have 32 bits)."""
LONGEST_NAME = 8
"""Maximum length of a section's name, in bytes (Section Table, Name)."""


MACHINES = {0x8664: "X64", 0xAA64: "AA64", 0x5064: "RISCV64"}
"""Machine -> its name in the file that UEFI boots by default (2.10, 3.5.1.1)."""

Wordsum = Callable[[Content], int]
"""The sum of a content's little-endian 16-bit words, modulo 2^16 - 1."""


class Stub(NamedTuple):
    """The fields of a program that appending sections needs."""

    data: bytes
    """Headers and sections, without symbols and signature."""
    machine: int
    header: int
    """Offset of the COFF header."""
    optional: int
    """Offset of the optional header."""
    table: int
    """Offset of the section table."""
    sections: tuple[str, ...]
    """Names of its sections."""
    section_alignment: int
    file_alignment: int
    end: int
    """The address after the last section in memory."""


def stub(unsafe_data: bytes) -> Stub:
    """Reads a stub. FormatError for what is not a PE program that can take more sections."""
    try:
        return _stub(unsafe_data)
    except (ValueError, KeyError, error) as problem:
        raise FormatError(f"the EFI stub is not a PE program: {problem}") from None


def write(stub: Stub, sections: Sequence[tuple[str, Content]], wordsum: Wordsum, out: Sink) -> None:
    """Writes the program with `sections` (name, content) appended; their contents are summed, not read.

    FormatError for a stub that has one of them already, and so a kernel or a command line of its own.
    """
    if there := [name for name, _ in sections if name in stub.sections]:
        raise FormatError(f"the EFI stub has a section {there[0]} already: a unified kernel image is no stub")
    added, place, address = b"", _align(len(stub.data), stub.file_alignment), stub.end
    padded: list[Content | bytes] = [bytes(place - len(stub.data))]
    for name, content in sections:
        size = length(content)
        room = _align(size, stub.file_alignment)
        address = _align(address, max(stub.section_alignment, PAGE))
        _check(name, max(place + room, _align(address + size, stub.section_alignment)))
        added += ondisk.SECTION.pack(
            Name=name.encode(), VirtualSize=size, VirtualAddress=address, SizeOfRawData=room, PointerToRawData=place,
            Characteristics=DATA,
        )  # fmt: skip
        padded += [content, bytes(room - size)]
        place, address = place + room, address + size
    head = bytearray(_headers(stub, added, len(sections), _align(address, stub.section_alignment)))
    total = int.from_bytes(head, "little") + sum(wordsum(content) for _, content in sections)  # 2^16 is 1 modulo 65535
    ondisk.OPTIONAL.patch(head, stub.optional, CheckSum=((total - 1) % 0xFFFF + 1 + place) & 0xFFFFFFFF)
    out.write(bytes(head))
    for piece in padded:
        if isinstance(piece, bytes):
            out.write(piece)
        else:
            out.extend(piece)


def _check(name: str, end: int) -> None:
    """FormatError for a section that ends beyond the reach of a program, or has too long a name."""
    if end > LARGEST:
        room = f"an EFI program has room for {LARGEST}: make the node smaller, or take a format without one (raw-bios)"
        raise FormatError(f"section {name} that ends at byte {end}; {room}")
    if len(name.encode()) > LONGEST_NAME:
        raise FormatError(f"section {name}; an EFI program has room for names of {LONGEST_NAME} bytes: shorten it")


def _stub(data: bytes) -> Stub:
    start, coff = _coff(data)
    optional = start + ondisk.COFF.size
    header = ondisk.OPTIONAL.unpack(data, optional)
    if not header.FileAlignment or header.FileAlignment % 2:
        raise ValueError(f"its sections are aligned to {header.FileAlignment} bytes")
    directories = optional + ondisk.DIRECTORIES[header.Magic]
    table, count = optional + coff.SizeOfOptionalHeader, coff.NumberOfSections
    rows = [ondisk.SECTION.unpack(data, table + number * ondisk.SECTION.size) for number in range(count)]
    kept = bytearray(data[: max(row.PointerToRawData + row.SizeOfRawData for row in rows)])
    ondisk.COFF.patch(kept, start, PointerToSymbolTable=0, NumberOfSymbols=0)
    if int.from_bytes(data[directories - 4 : directories], "little") > ondisk.CERTIFICATES:
        certificates = directories + ondisk.DATA_DIRECTORY.size * ondisk.CERTIFICATES
        ondisk.DATA_DIRECTORY.patch(kept, certificates, VirtualAddress=0, Size=0)
    end = max(row.VirtualAddress + max(row.VirtualSize, row.SizeOfRawData) for row in rows)
    alignments = header.SectionAlignment, header.FileAlignment
    names = tuple(row.Name.rstrip(b"\0").decode("latin-1") for row in rows)
    return Stub(bytes(kept), coff.Machine, start, optional, table, names, *alignments, end)


def _coff(data: bytes) -> tuple[int, Any]:
    """The COFF header, and its offset."""
    dos = ondisk.DOS.unpack(data)
    if dos.magic != ondisk.DOS_MAGIC or not data.startswith(ondisk.MAGIC, dos.lfanew):
        raise ValueError("it has no PE header")
    start = dos.lfanew + len(ondisk.MAGIC)
    return start, ondisk.COFF.unpack(data, start)


def _headers(stub: Stub, added: bytes, count: int, image_size: int) -> bytes:
    """The stub with more sections in its table."""
    room = ondisk.OPTIONAL.unpack(stub.data, stub.optional).SizeOfHeaders
    start = stub.table + len(stub.sections) * ondisk.SECTION.size
    if start + len(added) > room:
        raise FormatError(f"the EFI stub's header has no room for {count} more sections")
    data = bytearray(stub.data)
    data[start : start + len(added)] = added
    ondisk.COFF.patch(data, stub.header, NumberOfSections=len(stub.sections) + count)
    ondisk.OPTIONAL.patch(data, stub.optional, SizeOfImage=image_size, CheckSum=0)
    return bytes(data)


def _align(value: int, alignment: int) -> int:
    return value + -value % alignment


def machine(data: bytes) -> int:
    """The machine that a program is for, from its first bytes."""
    return int(_coff(data)[1].Machine)
