"""Modinfo: the metadata of a Linux kernel module, read from its ELF file (elf(5); include/linux/module.h).

It comes from the section `.modinfo` (NUL-terminated `key=value` strings) and from the symbol table.
"""

from __future__ import annotations

import re
import struct
from typing import Any, NamedTuple

from pipeline.model.errors import BadInput
from pipeline.ondisk.elf import CLASS, DATA, FORMS, MAGIC, SHN_UNDEF

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
INFLATED_LIMIT = 256 << 20
"""Maximum size of a decompressed module, in bytes; Debian's largest (amdgpu) has some 30 MB."""

SIGNATURE = b"~Module signature appended~\n"
"""End of a signed module (MODULE_SIG_STRING, include/linux/module_signature.h)."""

_EXPORT = re.compile(rb"\0__ksymtab_([^\0]+)")
"""Exported symbols in the string table: EXPORT_SYMBOL(name) defines __ksymtab_name (include/linux/export.h)."""
_TITLES = {form: form.section.only("sh_name") for form in FORMS.values()}
_SYMBOLS = {form: form.symbol.only("st_name", "st_shndx") for form in FORMS.values()}
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


def is_signed(path: str, data: bytes) -> bool:
    """Returns True for a module with a signature, which is not verified; False for one that cannot be decompressed."""
    try:
        return _decompress(path, data).endswith(SIGNATURE)
    except Exception:  # each compression has its own
        return False


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
    if not elf.startswith(MAGIC):
        raise ValueError("not an ELF file")
    form = FORMS[elf[CLASS], elf[DATA]]
    header = form.header.unpack(elf)
    start, size = header.e_shoff, header.e_shentsize
    names = _content(elf, form.section.unpack(elf, start + header.e_shstrndx * size))
    sections = {}
    for at in range(start, start + header.e_shnum * size, size):
        (name,) = _TITLES[form].unpack_from(elf, at)
        if (title := names[name : names.find(b"\0", name)]) in _SECTIONS:
            section = form.section.unpack(elf, at)
            if section.sh_offset + section.sh_size > len(elf):
                raise ValueError("truncated")
            sections[title] = (_content(elf, section), section.sh_info)
    strings, _ = sections[b".strtab"]
    symbols, first_global = sections[b".symtab"]
    entries = _SYMBOLS[form].iter_unpack(memoryview(symbols)[first_global * form.symbol.size :])
    undefined = tuple([strings[at : strings.find(b"\0", at)] for at, section in entries if section == SHN_UNDEF])
    return sections.get(b".modinfo", (b"", 0))[0], tuple(_EXPORT.findall(strings)), undefined


def _content(elf: bytes, section: Any) -> bytes:
    """Returns the bytes of a section."""
    return elf[section.sh_offset : section.sh_offset + section.sh_size]
