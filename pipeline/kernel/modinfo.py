"""Modinfo: what a Linux kernel module says about itself, read from its ELF file (elf(5); include/linux/module.h).

Only three sections are looked at: `.modinfo` (NUL-terminated `key=value` texts), and the symbol table with its names,
for the symbols that the module exports and those that it expects from elsewhere.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from pipeline.model.errors import BadInput

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
INFLATED_LIMIT = 256 << 20
"""Bytes that a compressed module may grow to; the largest of Debian's (amdgpu) has some 30 MB."""

_EXPORT = re.compile(rb"\0__ksymtab_([^\0]+)")
"""A name of a symbol: EXPORT_SYMBOL(name) defines __ksymtab_name (include/linux/export.h)."""
_SECTIONS = (b".modinfo", b".symtab", b".strtab")


class BadModule(BadInput):
    """A file that ought to be a kernel module and is not."""


class Module(NamedTuple):
    """A kernel module.

    path: relative to lib/modules/RELEASE. name: as the kernel has it, with "_" for "-".
    exports: the symbols that it offers to other modules. uses: those that it needs, in the order of its symbol table.
    """

    path: str
    name: str
    aliases: tuple[str, ...]
    softdeps: tuple[str, ...]
    exports: tuple[bytes, ...]
    uses: tuple[bytes, ...]


class _Layout(NamedTuple):
    """Where the fields stand that matter, in an ELF file of one word size and byte order."""

    header: struct.Struct
    """Offset of the section headers, size of each, their number, which one has their names."""
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
    """Whether a path names a module, compressed or not."""
    return path.endswith(SUFFIXES)


def module_name(path: str) -> str:
    """`kernel/net/9p/9pnet-virtio.ko.xz` -> `9pnet_virtio`."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def read(path: str, data: bytes) -> Module:
    """The module whose file, at `path`, holds `data`. BadModule names the path."""
    try:
        modinfo, exports, uses = _read(_inflated(path, data))
    except (struct.error, LookupError, ValueError, OverflowError):
        raise BadModule(f"{path} is no kernel module") from None
    facts: dict[bytes, list[str]] = {b"alias": [], b"softdep": []}
    for text in modinfo.split(b"\0"):
        key, _, value = text.partition(b"=")
        if key in facts:
            facts[key].append(value.decode("utf-8", "surrogateescape"))
    return Module(path, module_name(path), tuple(facts[b"alias"]), tuple(facts[b"softdep"]), exports, uses)


def _inflated(path: str, data: bytes) -> bytes:
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
        raise BadModule(f"{path} is more than {INFLATED_LIMIT >> 20} MiB large")
    return whole


def _read(elf: bytes) -> tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]:
    """The section .modinfo, and the names of the exported and of the undefined symbols."""
    if not elf.startswith(b"\x7fELF"):
        raise ValueError("no ELF file")
    layout = _LAYOUTS[elf[4]][elf[5]]
    start, size, count, index_of_names = layout.header.unpack_from(elf)
    headers = [layout.section.unpack_from(elf, start + number * size) for number in range(count)]
    _, at, length, _ = headers[index_of_names]
    names = elf[at : at + length]
    found = {}
    for name, at, length, first_global in headers:
        title = names[name : names.find(b"\0", name)]
        if title in _SECTIONS:
            if at + length > len(elf):
                raise ValueError("cut off")
            found[title] = (elf[at : at + length], first_global)
    strings, _ = found[b".strtab"]
    symbols, first_global = found[b".symtab"]
    named = layout.symbol.iter_unpack(memoryview(symbols)[first_global * layout.symbol.size :])
    undefined = tuple([strings[at : strings.find(b"\0", at)] for at, section in named if section == 0])
    return found.get(b".modinfo", (b"", 0))[0], tuple(_EXPORT.findall(strings)), undefined
