"""Modinfo: the metadata of a Linux kernel module, read from its ELF file (elf(5); include/linux/module.h).

It comes from the section `.modinfo` (NUL-terminated `key=value` strings) and from the symbol table.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from pipeline.model.errors import BadInput

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
INFLATED_LIMIT = 256 << 20
"""Maximum size of a decompressed module, in bytes; Debian's largest (amdgpu) has some 30 MB."""

_EXPORT = re.compile(rb"\0__ksymtab_([^\0]+)")
"""Exported symbols in the string table: EXPORT_SYMBOL(name) defines __ksymtab_name (include/linux/export.h)."""
_SECTIONS = (b".modinfo", b".symtab", b".strtab")


class BadModule(BadInput):
    """An invalid kernel module."""


class Module(NamedTuple):
    """A kernel module.

    path: relative to lib/modules/RELEASE. name: with "_" for "-", as in the kernel. exports: symbols for other modules.
    uses: undefined symbols, in the order of the symbol table.
    """

    path: str
    name: str
    aliases: tuple[str, ...]
    softdeps: tuple[str, ...]
    exports: tuple[bytes, ...]
    uses: tuple[bytes, ...]


class _Layout(NamedTuple):
    """Structures of ELF for one word size and byte order."""

    header: struct.Struct
    """Offset, size and number of the section headers, index of the one with the names."""
    section: struct.Struct
    """Name, offset, size, and index of the first global symbol (sh_info) of a section."""
    symbol: struct.Struct
    """Name and section of a symbol."""


_LAYOUTS = {
    bits: {
        byte: _Layout(*(struct.Struct(order + fields) for fields in layout))
        for byte, order in ((1, "<"), (2, ">"))
    }
    for bits, layout in (
        (1, ("32xI10xHHH", "I12xII4xI8x", "I10xH")),
        (2, ("40xQ10xHHH", "I20xQQ4xI16x", "I2xH16x")),
    )
}  # fmt: skip


def is_module(path: str) -> bool:
    """Returns True for the name of a module, compressed or not."""
    return path.endswith(SUFFIXES)


def module_name(path: str) -> str:
    """`kernel/net/9p/9pnet-virtio.ko.xz` -> `9pnet_virtio`."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def read(path: str, data: bytes) -> Module:
    """Parses the module `data`. path: relative to lib/modules/RELEASE. BadModule with the path."""
    try:
        modinfo, exports, uses = _parse(_decompress(path, data))
    except (struct.error, LookupError, ValueError, OverflowError):
        raise BadModule(f"{path} is not a kernel module") from None
    fields: dict[bytes, list[str]] = {b"alias": [], b"softdep": []}
    for text in modinfo.split(b"\0"):
        key, _, value = text.partition(b"=")
        if key in fields:
            fields[key].append(value.decode("utf-8", "surrogateescape"))
    return Module(path, module_name(path), tuple(fields[b"alias"]), tuple(fields[b"softdep"]), exports, uses)


def _decompress(path: str, data: bytes) -> bytes:
    suffix = path.rpartition(".ko")[2]
    if suffix == "":
        return data
    if suffix == ".xz":
        import lzma

        whole = lzma.LZMADecompressor().decompress(data, INFLATED_LIMIT + 1)
    elif suffix == ".gz":
        import zlib

        whole = zlib.decompressobj(31).decompress(data, INFLATED_LIMIT + 1)
    else:
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            whole = reader.read(INFLATED_LIMIT + 1)
    if len(whole) > INFLATED_LIMIT:
        raise BadModule(f"{path} has more than {INFLATED_LIMIT >> 20} MiB")
    return whole


def _parse(elf: bytes) -> tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]:
    """Returns the section .modinfo, and the names of the exported and of the undefined symbols."""
    if not elf.startswith(b"\x7fELF"):
        raise ValueError("not an ELF file")
    layout = _LAYOUTS[elf[4]][elf[5]]
    start, size, count, index_of_names = layout.header.unpack_from(elf)
    headers = [layout.section.unpack_from(elf, start + number * size) for number in range(count)]
    _, at, length, _ = headers[index_of_names]
    names = elf[at : at + length]
    sections = {}
    for name, at, length, first_global in headers:
        title = names[name : names.find(b"\0", name)]
        if title in _SECTIONS:
            if at + length > len(elf):
                raise ValueError("truncated")
            sections[title] = (elf[at : at + length], first_global)
    strings, _ = sections[b".strtab"]
    symbols, first_global = sections[b".symtab"]
    entries = layout.symbol.iter_unpack(memoryview(symbols)[first_global * layout.symbol.size :])
    undefined = tuple([strings[at : strings.find(b"\0", at)] for at, section in entries if section == 0])
    return sections.get(b".modinfo", (b"", 0))[0], tuple(_EXPORT.findall(strings)), undefined
