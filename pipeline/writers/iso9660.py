"""ISO 9660 file systems with Rock Ridge, Joliet and El Torito.

Source: ECMA-119 (4th edition; section numbers are its), the Joliet specification (1995), El Torito 1.0 (1995) with
UEFI 2.10, 13.3.2.1, for its EFI entry. Directories may be deeper than 8, as Linux and all the others read them. The
order on disk is: system area, descriptors, boot catalog, path tables, directories, Rock Ridge's overflow, files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack
from typing import NamedTuple

from pipeline.tree import EPOCH, Content, Directory, Entry, File, Sink, length, parent
from pipeline.writers import agreed, isoname, rockridge

VERSION = 2
BLOCK = 2048
SYSTEM = 16 * BLOCK
"""Bytes before the descriptors, free for a boot record."""
LARGEST_EXTENT = (1 << 32) - BLOCK
"""A larger file is a row of extents (level 3)."""
IS_DIRECTORY, MORE_EXTENTS = 0x02, 0x80
BIOS, EFI = 0x00, 0xEF


class Boot(NamedTuple):
    """An image that a firmware starts from (El Torito, without emulation)."""

    path: str
    platform: int
    sectors: int
    """Of 512 bytes, that a BIOS loads; UEFI takes 1 for "up to the end"."""


class Plan(NamedTuple):
    """A file system before it is written: where everything will lie, in blocks."""

    tree: Mapping[str, Entry]
    boots: Sequence[Boot]
    hierarchies: Sequence[_Hierarchy]
    catalog: int
    tables: int
    overflow: int
    overflow_size: int
    files: Mapping[Content, int]
    end: int

    def block(self, path: str) -> int:
        """Where the file `path` starts."""
        entry = self.tree[path]
        assert isinstance(entry, File)
        return self.files[entry.content]


class _Hierarchy(NamedTuple):
    """The tree as one kind of reader sees it: the primary one (with Rock Ridge), or Joliet's."""

    joliet: bool
    children: Mapping[str, list[tuple[bytes, str]]]
    """Directory -> identifier and path of what is in it, in order."""
    numbers: Mapping[str, int]
    """Directory -> its number in the path table, in that order."""
    places: Mapping[str, tuple[int, int]]
    """Directory -> its first block, and its size in bytes."""
    table_size: int


def plan(tree: Mapping[str, Entry], boots: Sequence[Boot] = ()) -> Plan:
    """Lay out the ordered, complete `tree`."""
    tree = {"": Directory(0o755, 0, 0, EPOCH), **dict(agreed(tree))}
    catalog = SYSTEM // BLOCK + 3 + bool(boots)
    tables = catalog + bool(boots)
    drafts = [_draft(tree, joliet) for joliet in (False, True)]
    block = tables + sum(2 * -(-draft.table_size // BLOCK) for draft in drafts)
    hierarchies = []
    for draft in drafts:
        places = {}
        for path in draft.numbers:
            size = draft.places[path][1]
            places[path] = (block, size)
            block += size // BLOCK
        hierarchies.append(draft._replace(places=places))
    overflow_size = _overflow(tree, hierarchies[0])
    overflow, block = block, block + overflow_size // BLOCK
    files: dict[Content, int] = {(): 0}
    for entry in tree.values():
        if isinstance(entry, File) and entry.content not in files:
            files[entry.content] = block
            block += -(-entry.size // BLOCK)
    return Plan(tree, boots, hierarchies, catalog, tables, overflow, overflow_size, files, block)


def write(plan: Plan, out: Sink, label: str, system: bytes = b"") -> None:
    """Write the file system, called `label`; `system` is what stands in its first 32 KiB."""
    out.write(system.ljust(SYSTEM, b"\0"))
    primary, joliet = plan.hierarchies
    out.write(_descriptor(plan, primary, label, plan.tables))
    if plan.boots:
        text = b"\0CD001\x01EL TORITO SPECIFICATION"
        out.write((text.ljust(71, b"\0") + pack("<I", plan.catalog)).ljust(BLOCK, b"\0"))
    out.write(_descriptor(plan, joliet, label, plan.tables + 2 * -(-primary.table_size // BLOCK)))
    out.write(b"\xffCD001\x01".ljust(BLOCK, b"\0"))
    if plan.boots:
        out.write(_catalog(plan).ljust(BLOCK, b"\0"))
    for hierarchy in plan.hierarchies:
        for order in "<>":
            table = _path_table(hierarchy, order)
            out.write(table + bytes(-len(table) % BLOCK))
    overflow = rockridge.Overflow()
    for hierarchy in plan.hierarchies:
        for path in hierarchy.numbers:
            out.write(_directory(plan.tree, hierarchy, path, plan.files, overflow, plan.overflow))
    out.write(bytes(overflow.data) + bytes(-len(overflow.data) % BLOCK))
    for content in plan.files:
        out.extend(content)
        out.zeros(-length(content) % BLOCK)


def _draft(tree: Mapping[str, Entry], joliet: bool) -> _Hierarchy:
    """The hierarchy with the sizes of its directories, which are nowhere yet."""
    names: dict[str, list[str]] = {"": []}
    for path, entry in tree.items():
        if isinstance(entry, Directory):
            names.setdefault(path, [])
        if path and (not joliet or isinstance(entry, Directory | File)):
            names[parent(path)].append(path)
    identify = isoname.joliet if joliet else isoname.primary
    children = {path: identify(tree, found) for path, found in names.items()}
    levels = [[""]]
    while levels[-1]:
        levels.append([
            path for above in levels[-1] for _, path in children[above] if isinstance(tree[path], Directory)
        ])  # fmt: skip
    numbers = {path: number for number, path in enumerate((path for level in levels for path in level), 1)}
    identifiers = {path: name for found in children.values() for name, path in found}
    table = sum(8 + len(name) + len(name) % 2 for name in (identifiers.get(path, b"\0") for path in numbers))
    draft = _Hierarchy(joliet, children, numbers, dict.fromkeys(numbers, (0, 0)), table)
    nowhere = _Nowhere()
    sizes = {path: len(_directory(tree, draft, path, nowhere, rockridge.Overflow(), 0)) for path in numbers}
    return draft._replace(places={path: (0, size) for path, size in sizes.items()})


class _Nowhere(dict[Content, int]):
    """Where files are while nobody knows."""

    def __missing__(self, content: Content) -> int:
        return 0


def _overflow(tree: Mapping[str, Entry], hierarchy: _Hierarchy) -> int:
    """Bytes, in whole blocks, of the Rock Ridge fields that do not fit into records."""
    overflow = rockridge.Overflow()
    for path in hierarchy.numbers:
        _directory(tree, hierarchy, path, _Nowhere(), overflow, 0)
    return len(overflow.data) + -len(overflow.data) % BLOCK


def _directory(
    tree: Mapping[str, Entry],
    hierarchy: _Hierarchy,
    path: str,
    files: Mapping[Content, int],
    overflow: rockridge.Overflow,
    overflow_block: int,
) -> bytes:
    """The records of a directory, none across the end of a block (6.8.1.1)."""
    rows = [(b"\0", path, ""), (b"\1", parent(path), "")]
    rows += [(name, child, child.rpartition("/")[2]) for name, child in hierarchy.children[path]]
    data = b""
    for identifier, child, name in rows:
        entry = tree[child]
        links = 2 if isinstance(entry, Directory) else 1
        extra = [] if hierarchy.joliet else rockridge.fields(entry, links, name)
        if identifier == b"\0" and not path and not hierarchy.joliet:
            first, *rest = rockridge.first_fields()
            extra = [first, *extra, *rest]
        for block, size, flags in _extents(entry, child, hierarchy, files):
            record = _record(identifier, block, size, flags, entry.mtime)
            room = 254 - len(record)
            record += overflow.fitted(extra, room, overflow_block) if extra else b""
            record = bytes((len(record) + len(record) % 2,)) + record[1:] + bytes(len(record) % 2)
            if len(data) % BLOCK + len(record) > BLOCK:
                data += bytes(-len(data) % BLOCK)
            data += record
    return data + bytes(-len(data) % BLOCK)


def _extents(
    entry: Entry, path: str, hierarchy: _Hierarchy, files: Mapping[Content, int]
) -> list[tuple[int, int, int]]:
    """First block, size and flags of each piece of an entry."""
    if isinstance(entry, Directory):
        return [(*hierarchy.places[path], IS_DIRECTORY)]
    if not isinstance(entry, File) or not entry.size:
        return [(0, 0, 0)]
    start = files[entry.content]
    cuts = range(0, entry.size, LARGEST_EXTENT)
    return [
        (start + at // BLOCK, min(LARGEST_EXTENT, entry.size - at), MORE_EXTENTS if at != cuts[-1] else 0)
        for at in cuts
    ]


def _record(identifier: bytes, block: int, size: int, flags: int, mtime: int) -> bytes:
    """A directory record (9.1) without its system use fields; its length is filled in once those are there."""
    head = pack("<BB", 0, 0) + _both(block) + _both(size) + rockridge.date(mtime)
    return head + pack("<BBBHHB", flags, 0, 0, 1, 256, len(identifier)) + identifier + bytes(1 - len(identifier) % 2)


def _descriptor(plan: Plan, hierarchy: _Hierarchy, label: str, table: int) -> bytes:
    """The primary or the supplementary volume descriptor (8.4, 8.5)."""
    encoding = "utf-16-be" if hierarchy.joliet else "ascii"

    def text(value: str, size: int) -> bytes:
        return value.ljust(size).encode(encoding)[:size]

    block, size = hierarchy.places[""]
    root = _record(b"\0", block, size, IS_DIRECTORY, plan.tree[""].mtime)
    tables = -(-hierarchy.table_size // BLOCK)
    made = b"1980010100000000\0"
    never = b"0" * 16 + b"\0"
    return b"".join([
        b"\x02CD001\x01\0" if hierarchy.joliet else b"\x01CD001\x01\0",
        text("LINUX", 32), text(label, 32), bytes(8), _both(plan.end),
        (b"%/E" if hierarchy.joliet else b"").ljust(32, b"\0"),
        pack("<HHHHHH", 1, 256, 1, 256, BLOCK, BLOCK >> 8 | (BLOCK & 0xFF) << 8),
        _both(hierarchy.table_size), pack("<II", table, 0), pack(">II", table + tables, 0),
        bytes((len(root),)) + root[1:],
        text("", 128), text("", 128), text("", 128), text("NODEKILN", 128), text("", 37), text("", 37), text("", 37),
        made, made, never, made, b"\x01",
    ]).ljust(BLOCK, b"\0")  # fmt: skip


def _path_table(hierarchy: _Hierarchy, order: str) -> bytes:
    """All directories, level by level (9.4), in one byte order."""
    identifiers = {path: name for found in hierarchy.children.values() for name, path in found}
    rows = []
    for path in hierarchy.numbers:
        name = identifiers.get(path, b"\0")
        above = hierarchy.numbers[parent(path)]
        rows.append(pack(order + "BBIH", len(name), 0, hierarchy.places[path][0], above) + name + bytes(len(name) % 2))
    return b"".join(rows)


def _catalog(plan: Plan) -> bytes:
    """The boot catalog: validation entry, the default entry, and a section for each further platform."""
    first, *others = plan.boots
    check = pack("<BBH24sH", 1, first.platform, 0, b"NODEKILN", 0) + b"\x55\xaa"
    total = -sum(int.from_bytes(check[at : at + 2], "little") for at in range(0, 32, 2)) & 0xFFFF
    data = check[:28] + pack("<H", total) + check[30:] + _boot_entry(plan, first)
    for number, boot in enumerate(others, 1):
        data += pack("<BBH28s", 0x91 if number == len(others) else 0x90, boot.platform, 1, b"")
        data += _boot_entry(plan, boot)
    return data


def _boot_entry(plan: Plan, boot: Boot) -> bytes:
    return pack("<BBHBBHI20s", 0x88, 0, 0, 0, 0, boot.sectors, plan.block(boot.path), b"")


def _both(number: int) -> bytes:
    return pack("<I", number) + pack(">I", number)
