"""Programs and libraries made of plain values: ELF files with what the kernel and the dynamic linker read."""

from __future__ import annotations

import struct
from collections.abc import Sequence

GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"


def program(
    needed: Sequence[str] = (),
    interpreter: str = GLIBC,
    *,
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    bits: int = 64,
    order: str = "<",
    machine: int = 62,
    kind: int = 3,
) -> bytes:
    """An ELF file that needs the libraries `needed`; one without an interpreter is a library, or static."""
    strings = b"\0"
    entries: list[tuple[int, int]] = []
    for tag, text in [*((1, item) for item in needed), (14, soname), (15, rpath), (29, runpath)]:
        if text:
            entries.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    head, item = (64, 56) if bits == 64 else (52, 32)
    count = 3 if interpreter else 2
    at = head + count * item
    name = interpreter.encode() + b"\0" if interpreter else b""
    table = at + len(name)
    dynamic = table + len(strings)
    entries += [(5, table), (10, len(strings)), (0, 0)]
    word = order + ("QQ" if bits == 64 else "II")
    section = b"".join(struct.pack(word, *entry) for entry in entries)
    whole = dynamic + len(section)
    segments = [(1, 0, whole), (2, dynamic, len(section)), *([(3, at, len(name))] if interpreter else [])]
    headers = b"".join(_segment(order, bits, *segment) for segment in segments)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    fields = (kind, machine, 1, 0, head, 0, 0, head, item, count, 64 if bits == 64 else 40, 0, 0)
    start = struct.pack(order + ("HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH"), *fields)
    return ident + start + headers + name + strings + section


def library(*needed: str, **facts: str) -> bytes:
    return program(needed, "", **facts)  # type: ignore[arg-type]


def _segment(order: str, bits: int, kind: int, offset: int, size: int) -> bytes:
    if bits == 64:
        return struct.pack(order + "IIQQQQQQ", kind, 4, offset, offset, offset, size, size, 8)
    return struct.pack(order + "8I", kind, offset, offset, offset, size, size, 4, 4)
