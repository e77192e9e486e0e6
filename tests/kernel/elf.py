"""Kernel modules made of plain values: ELF files with the sections that depmod reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def module(
    info: Sequence[str] = (), exports: Sequence[str] = (), uses: Sequence[str] = (), bits: int = 64, order: str = "<"
) -> bytes:
    """An object file whose .modinfo holds `info` (`key=value`), and that exports and needs these symbols.

    order: "<" or ">", the byte order.
    """
    strings, symbols = b"\0", b""
    kinds = [("__crc_" + name, 0xFFF1) for name in exports] + [("__ksymtab_" + name, 1) for name in exports]
    for name, section in [("", 0), *((name, section) for name, section in kinds), *((name, 0) for name in uses)]:
        at = len(strings) if name else 0
        strings += name.encode() + b"\0" if name else b""
        bind = 0x10 if name else 0
        if bits == 64:
            symbols += struct.pack(order + "IBBHQQ", at, bind, 0, section, 0, 0)
        else:
            symbols += struct.pack(order + "IIIBBH", at, 0, 0, bind, 0, section)
    size = 24 if bits == 64 else 16
    sections = [
        (b"", 0, b"", 0, 0, 0),
        (b".modinfo", 1, b"".join(text.encode() + b"\0" for text in info), 0, 0, 0),
        (b".symtab", 2, symbols, 3, 1, size),
        (b".strtab", 3, strings, 0, 0, 0),
    ]
    names = b"\0".join(name for name, *_ in sections) + b"\0.shstrtab\0"
    sections.append((b".shstrtab", 3, names, 0, 0, 0))
    return _file(sections, names, bits, order)


def _file(sections: Sequence[tuple[bytes, int, bytes, int, int, int]], names: bytes, bits: int, order: str) -> bytes:
    head = 64 if bits == 64 else 52
    body, headers = b"", b""
    for name, kind, data, link, info, size in sections:
        at = names.index(name + b"\0") if name else 0
        fields = (at, kind, 0, 0, head + len(body), len(data), link, info, 1, size)
        headers += struct.pack(order + ("IIQQQQIIQQ" if bits == 64 else "10I"), *fields)
        body += data + bytes(-len(data) % 8)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    machine = 62 if bits == 64 else 3
    ends = (0, head, 0, 0, 64 if bits == 64 else 40, len(sections), len(sections) - 1)
    start = struct.pack(order + ("HHIQQQ" if bits == 64 else "HHIIII"), 1, machine, 1, 0, 0, head + len(body))
    return ident + start + struct.pack(order + "I6H", *ends) + body + headers
