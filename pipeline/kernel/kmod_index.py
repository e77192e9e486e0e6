"""The binary index of kmod's modprobe (kmod, libkmod/libkmod-index.h): a radix tree, big-endian.

    magic, version, offset of the root; then nodes, children before their parent:
    [prefix NUL] [first char, last char, offset of a child for each char between] [count, (priority, value NUL)…]

The upper bits of a node's offset are flags for its three parts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from os.path import commonprefix  # of any strings

MAGIC, FORMAT = 0xB007F457, 0x00020001
_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000

Entry = tuple[str, str, int]
"""Key, value, priority: modprobe prefers the value with the lowest priority."""


def index(entries: Iterable[Entry]) -> bytes:
    """Serialises `entries`, without keys that are not ASCII: they cannot be looked up."""
    values: dict[str, list[tuple[int, str]]] = {}
    for key, value, priority in entries:
        if key.isascii():
            values.setdefault(key, []).insert(0, (priority, value))  # as kmod: later values first
    for pairs in values.values():
        pairs.sort(key=lambda pair: pair[0])
    out = bytearray(struct.pack(">III", MAGIC, FORMAT, 0))
    root = _write(out, values, sorted(values), "", "")
    struct.pack_into(">I", out, 8, root)
    return bytes(out)


def normalize(alias: str) -> str | None:
    """Returns an alias as a key: "-" becomes "_" outside of brackets. None for unbalanced brackets."""
    result, inside = [], False
    for character in alias:
        if character == "]" and not inside:
            return None
        inside = character == "[" or (inside and character != "]")
        result.append("_" if character == "-" and not inside else character)
    return None if inside else "".join(result)


def _write(out: bytearray, values: dict[str, list[tuple[int, str]]], keys: list[str], path: str, prefix: str) -> int:
    """Writes the node of `keys`, which begin with `path` + `prefix`, after its children. Returns its offset."""
    here = path + prefix
    below: dict[str, list[str]] = {}
    for key in keys:
        if key != here:
            below.setdefault(key[len(here)], []).append(key)
    children = {}
    for character, group in below.items():
        start = here + character
        children[character] = _write(out, values, group, start, commonprefix([group[0], group[-1]])[len(start) :])  # noqa: RUF071
    offset = len(out)
    if prefix:
        out += prefix.encode() + b"\0"
        offset |= _PREFIX
    if children:
        first, last = ord(min(children)), ord(max(children))
        offsets = [children.get(chr(code), 0) for code in range(first, last + 1)]
        out += struct.pack(f">BB{len(offsets)}I", first, last, *offsets)
        offset |= _CHILDREN
    if here in values:
        out += struct.pack(">I", len(values[here]))
        for priority, value in values[here]:
            out += struct.pack(">I", priority) + value.encode("utf-8", "surrogateescape") + b"\0"
        offset |= _VALUES
    return offset
