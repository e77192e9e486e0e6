"""ELF: headers, segments, sections, symbols, the dynamic section. Source: elf(5); the gABI, chapters 4 and 5."""

from itertools import product
from typing import NamedTuple

from pipeline.ondisk import Structure

MAGIC = b"\x7fELF"
CLASS, DATA = 4, 5
"""Offsets in e_ident of the word size and of the byte order, the key of FORMS."""
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 14, 15, 29
SHN_UNDEF = 0


class Form(NamedTuple):
    """The structures of one word size and byte order."""

    bits: int
    header: Structure
    segment: Structure
    section: Structure
    symbol: Structure
    dynamic: Structure


def _form(bits: int, order: str) -> Form:
    word = "I" if bits == 32 else "Q"
    flags, values = {"p_flags": "I"}, {"st_value": word, "st_size": word}
    early, late = ({}, flags) if bits == 32 else (flags, {})
    before, after = (values, {}) if bits == 32 else ({}, values)
    return Form(
        bits,
        Structure(
            order,
            e_ident="16s", e_type="H", e_machine="H", e_version="I", e_entry=word, e_phoff=word, e_shoff=word,
            e_flags="I", e_ehsize="H", e_phentsize="H", e_phnum="H", e_shentsize="H", e_shnum="H", e_shstrndx="H",
        ),
        Structure(
            order, p_type="I", **early, p_offset=word, p_vaddr=word, p_paddr=word, p_filesz=word, p_memsz=word, **late,
            p_align=word,
        ),
        Structure(
            order,
            sh_name="I", sh_type="I", sh_flags=word, sh_addr=word, sh_offset=word, sh_size=word, sh_link="I",
            sh_info="I", sh_addralign=word, sh_entsize=word,
        ),
        Structure(order, st_name="I", **before, st_info="B", st_other="B", st_shndx="H", **after),
        Structure(order, d_tag=word, d_val=word),
    )  # fmt: skip


FORMS = {(size, data): _form(32 * size, order) for size, (data, order) in product((1, 2), ((1, "<"), (2, ">")))}
