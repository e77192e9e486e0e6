"""ELF headers for starting a program (elf(5); Linux, fs/binfmt_elf.c; the gABI, chapter 5).

Only the header, the program headers, PT_INTERP and PT_DYNAMIC are read, not the sections. Files are untrusted: every
read has a limit, and an offset outside of the file is BadElf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pipeline.model.errors import BadInput
from pipeline.ondisk import Structure
from pipeline.ondisk import elf as ondisk
from pipeline.ondisk.elf import CLASS, DATA, FORMS, MAGIC

_LARGEST_HEADER = max(form.header.size for form in FORMS.values())
LARGEST_HEADERS = 64 << 10
"""Maximum size of the program headers, in bytes (the kernel's limit)."""
LONGEST_PATH = 4096
"""Maximum length of a path or a name, in bytes, with the NUL that ends it (PATH_MAX)."""
LARGEST_DYNAMIC = 256 << 10
"""Maximum size of the dynamic section, in bytes: 16,384 entries. Programs have some thirty."""
MOST_NEEDED = 4096
"""Maximum number of libraries that one file needs directly."""
STARTED = (ondisk.ET_EXEC, ondisk.ET_DYN)
"""Types (e_type) of files that the kernel starts: ET_EXEC and ET_DYN."""

_TEXTS = (ondisk.DT_NEEDED, ondisk.DT_SONAME, ondisk.DT_RPATH, ondisk.DT_RUNPATH)

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


def read(data: Read) -> Elf:
    """Reads an ELF file through `data`. BadElf."""
    head = data(0, _LARGEST_HEADER)
    form = FORMS.get((head[CLASS], head[DATA])) if len(head) > DATA and head.startswith(MAGIC) else None
    if form is None:
        raise BadElf("not an ELF file")
    if len(head) < form.header.size:
        raise BadElf("the ELF header is truncated")
    header = form.header.unpack(head)
    segments = _segments(form.segment, data, header)
    dynamic = _dynamic(form.dynamic, segments, data)
    interpreter = next((_interpreter(data, segment) for segment in segments if segment.p_type == ondisk.PT_INTERP), "")
    soname, rpath, runpath = ((dynamic.get(tag) or [""])[-1] for tag in _TEXTS[1:])
    needed = tuple(dict.fromkeys(dynamic.get(ondisk.DT_NEEDED, ())))
    return Elf(form.bits, header.e_machine, header.e_type, interpreter, needed, soname, rpath, runpath)


def _segments(layout: Structure, data: Read, header: Any) -> list[Any]:
    size, count = header.e_phentsize, header.e_phnum
    if count and size != layout.size:
        raise BadElf(f"its program headers have {size} bytes, not {layout.size}")
    if count * size > LARGEST_HEADERS:
        raise BadElf(f"its program headers take more than {LARGEST_HEADERS} bytes")
    return list(layout.iter_unpack(_exactly(data, header.e_phoff, count * size)))


def _interpreter(data: Read, segment: Any) -> str:
    if not 2 <= segment.p_filesz <= LONGEST_PATH:
        raise BadElf("its interpreter's path has an invalid length")
    name = _exactly(data, segment.p_offset, segment.p_filesz)
    if name[-1]:
        raise BadElf("its interpreter's path has no final NUL")
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _dynamic(layout: Structure, segments: Sequence[Any], data: Read) -> dict[int, list[str]]:
    """Returns the strings of the dynamic section: tag -> values."""
    segment = next((segment for segment in segments if segment.p_type == ondisk.PT_DYNAMIC), None)
    if segment is None:
        return {}
    if segment.p_filesz > LARGEST_DYNAMIC:
        raise BadElf(f"its dynamic section takes more than {LARGEST_DYNAMIC} bytes")
    whole = _exactly(data, segment.p_offset, segment.p_filesz - segment.p_filesz % layout.size)
    entries: list[tuple[int, int]] = []
    for tag, value in layout.struct.iter_unpack(whole):
        if tag == ondisk.DT_NULL:
            break
        entries.append((tag, value))
    texts = [entry for entry in entries if entry[0] in _TEXTS]
    if len(texts) > MOST_NEEDED:
        raise BadElf(f"it needs more than {MOST_NEEDED} libraries")
    strings = next((value for tag, value in entries if tag == ondisk.DT_STRTAB), None)
    if strings is None:
        return {}
    table = _file_offset(segments, strings)
    strings_by_tag: dict[int, list[str]] = {}
    for tag, offset in texts:
        strings_by_tag.setdefault(tag, []).append(_string(data, table + offset))
    return strings_by_tag


def _file_offset(segments: Sequence[Any], address: int) -> int:
    """Converts a memory address to an offset in the file."""
    for segment in segments:
        if segment.p_type == ondisk.PT_LOAD and segment.p_vaddr <= address < segment.p_vaddr + segment.p_filesz:
            return int(segment.p_offset + address - segment.p_vaddr)
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
