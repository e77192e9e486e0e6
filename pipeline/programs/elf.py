"""ELF headers for starting a program (elf(5); Linux, fs/binfmt_elf.c; the gABI, chapter 5).

Only the header, the program headers, PT_INTERP and PT_DYNAMIC are read, not the sections. Files are untrusted: every
read has a limit, and an offset outside of the file is BadElf.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.model.errors import BadInput

MAGIC = b"\x7fELF"
LARGEST_HEADERS = 64 << 10
"""Maximum size of the program headers, in bytes (the kernel's limit)."""
LONGEST_PATH = 4096
"""Maximum length of a path or a name, in bytes, with the NUL that ends it (PATH_MAX)."""
LARGEST_DYNAMIC = 256 << 10
"""Maximum size of the dynamic section, in bytes: 16,384 entries. Programs have some thirty."""
MOST_NEEDED = 4096
"""Maximum number of libraries that one file needs directly."""
STARTED = (2, 3)
"""Types (e_type) of files that the kernel starts: ET_EXEC and ET_DYN."""

_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_END, _NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 14, 15, 29
_HEADERS = {32: "16xHH4x4xI4x4x2xHH", 64: "16xHH4x8xQ8x4x2xHH"}
"""Type, machine, offset of the program headers, size of each, their number."""
_SEGMENTS = {32: "3I4xI12x", 64: "I4xQQ8xQ16x"}
"""Type, offset, address and size in the file of a segment."""

Read = Callable[[int, int], bytes]
"""(offset, count) -> bytes; fewer only at the end of the file."""


class BadElf(BadInput):
    """An invalid ELF file."""


class Elf(NamedTuple):
    """The headers that the kernel and the dynamic linker use.

    bits: 32 or 64. machine: e_machine. kind: e_type. interpreter: PT_INTERP or "". needed: DT_NEEDED, in order.
    soname: DT_SONAME. rpath, runpath: unexpanded search paths, with `:` between folders.
    """

    bits: int
    machine: int
    kind: int
    interpreter: str
    needed: tuple[str, ...]
    soname: str
    rpath: str
    runpath: str


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def read(data: Read) -> Elf:
    """Reads an ELF file through `data`. BadElf."""
    head = data(0, 64)
    if len(head) < 52 or not head.startswith(MAGIC) or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise BadElf("not an ELF file")
    bits, order = 32 * head[4], "<>"[head[5] - 1]
    try:
        kind, machine, start, size, count = struct.unpack_from(order + _HEADERS[bits], head)
        segments = _segments(struct.Struct(order + _SEGMENTS[bits]), data, start, size, count)
        dynamic = _dynamic(struct.Struct(order + {32: "II", 64: "QQ"}[bits]), segments, data)
    except struct.error:
        raise BadElf("the ELF header is truncated") from None
    interpreter = next((_interpreter(data, segment) for segment in segments if segment.kind == _INTERP), "")
    soname, rpath, runpath = ((dynamic.get(tag) or [""])[-1] for tag in (_SONAME, _RPATH, _RUNPATH))
    return Elf(bits, machine, kind, interpreter, tuple(dict.fromkeys(dynamic.get(_NEEDED, ()))), soname, rpath, runpath)


def _segments(layout: struct.Struct, data: Read, start: int, size: int, count: int) -> list[_Segment]:
    if count and size != layout.size:
        raise BadElf(f"its program headers have {size} bytes, not {layout.size}")
    if count * size > LARGEST_HEADERS:
        raise BadElf(f"its program headers take more than {LARGEST_HEADERS} bytes")
    return [_Segment(*fields) for fields in layout.iter_unpack(_exactly(data, start, count * size))]


def _interpreter(data: Read, segment: _Segment) -> str:
    if not 2 <= segment.size <= LONGEST_PATH:
        raise BadElf("its interpreter's path has an invalid length")
    name = _exactly(data, segment.offset, segment.size)
    if name[-1]:
        raise BadElf("its interpreter's path has no final NUL")
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _dynamic(layout: struct.Struct, segments: Sequence[_Segment], data: Read) -> dict[int, list[str]]:
    """Returns the strings of the dynamic section: tag -> values."""
    segment = next((segment for segment in segments if segment.kind == _DYNAMIC), None)
    if segment is None:
        return {}
    if segment.size > LARGEST_DYNAMIC:
        raise BadElf(f"its dynamic section takes more than {LARGEST_DYNAMIC} bytes")
    whole = _exactly(data, segment.offset, segment.size - segment.size % layout.size)
    entries: list[tuple[int, int]] = []
    for tag, value in layout.iter_unpack(whole):
        if tag == _END:
            break
        entries.append((tag, value))
    texts = [entry for entry in entries if entry[0] in (_NEEDED, _SONAME, _RPATH, _RUNPATH)]
    if len(texts) > MOST_NEEDED:
        raise BadElf(f"it needs more than {MOST_NEEDED} libraries")
    strings = next((value for tag, value in entries if tag == _STRINGS), None)
    if strings is None:
        return {}
    table = _file_offset(segments, strings)
    strings_by_tag: dict[int, list[str]] = {}
    for tag, offset in texts:
        strings_by_tag.setdefault(tag, []).append(_string(data, table + offset))
    return strings_by_tag


def _file_offset(segments: Sequence[_Segment], address: int) -> int:
    """Converts a memory address to an offset in the file."""
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise BadElf("its string table is outside of the loaded segments")


def _string(data: Read, offset: int) -> str:
    text, end, _ = data(offset, LONGEST_PATH).partition(b"\0")
    if not end:
        raise BadElf("a string in it has no final NUL")
    return text.decode("utf-8", "surrogateescape")


def _exactly(data: Read, offset: int, count: int) -> bytes:
    data_read = data(offset, count) if count else b""
    if len(data_read) < count:
        raise BadElf("it is truncated")
    return data_read
