"""ISO 9660 file systems with Rock Ridge, Joliet and El Torito.

Source: ECMA-119 (4th edition; section numbers are its), the Joliet specification (1995), El Torito 1.0 (1995) with
UEFI 2.10, 13.3.2.1, for its EFI entry. Directories may be deeper than 8, as Linux and all the others read them. The
order on disk is: system area, descriptors, boot catalog, path tables, directories, Rock Ridge's overflow, files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct, pack
from typing import NamedTuple

from pipeline.tree import EPOCH, Content, Directory, Entry, File, Sink, Slice, length, parent
from pipeline.writers import agreed, isoname, rockridge

VERSION = 2
BLOCK = 2048
SYSTEM = 16 * BLOCK
"""Bytes before the descriptors, free for a boot record."""
LARGEST_EXTENT = (1 << 32) - BLOCK
"""A larger file is a row of extents (level 3)."""
LONGEST_RECORD = 254
PLACED = 18
"""Bytes of a record up to the end of its place: length, 0, first block and size in both byte orders."""
HEADS = [bytes((size, 0)) for size in range(LONGEST_RECORD + 1)]
LENGTHS = [bytes((size,)) for size in range(LONGEST_RECORD + 1)]
PADDING = (b"", b"\0")
IS_DIRECTORY, MORE_EXTENTS = 0x02, 0x80
BIOS, EFI = 0x00, 0xEF
NOWHERE = (bytes(16),)
"""The place of what has no bytes."""
MANY = 256
"""Directories that are written at once."""
LITTLE, BIG = Struct("<I").pack, Struct(">I").pack


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


_Row = tuple[bytes, str, int, bytes, Sequence[bytes]]
"""A directory record before its place is known: what stands in front of that, the path, which extent of the file, what
stands behind; and the Rock Ridge fields, where those have no room and some go into the overflow."""


class _Hierarchy(NamedTuple):
    """The tree as one kind of reader sees it: the primary one (with Rock Ridge), or Joliet's."""

    joliet: bool
    identifiers: Mapping[str, bytes]
    """Directory -> its identifier, in the order of the path table."""
    rows: Mapping[str, list[_Row]]
    """Directory -> its records."""
    places: Mapping[str, tuple[int, int]]
    """Directory -> its first block, and its size in bytes."""
    table_size: int
    overflow_size: int
    """Bytes, in whole blocks, of the Rock Ridge fields that do not fit into records."""


def plan(tree: Mapping[str, Entry], boots: Sequence[Boot] = ()) -> Plan:
    """Lay out the ordered, complete `tree`."""
    tree = {"": Directory(0o755, 0, 0, EPOCH), **dict(agreed(tree))}
    catalog = SYSTEM // BLOCK + 3 + bool(boots)
    tables = catalog + bool(boots)
    names = _names(tree)
    drafts = [_draft(tree, names, joliet) for joliet in (False, True)]
    block = tables + sum(2 * -(-draft.table_size // BLOCK) for draft in drafts)
    hierarchies = []
    for draft in drafts:
        places = {}
        for path, (_, size) in draft.places.items():
            places[path] = (block, size)
            block += size // BLOCK
        hierarchies.append(draft._replace(places=places))
    overflow_size = drafts[0].overflow_size
    overflow, block = block, block + overflow_size // BLOCK
    files: dict[Content, int] = {(): 0}
    for entry in tree.values():
        if type(entry) is File and entry.content not in files:
            files[entry.content] = block
            block += -(-length(entry.content) // BLOCK)
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
        for table in _path_tables(hierarchy):
            out.write(table + bytes(-len(table) % BLOCK))
    overflow = rockridge.Overflow()
    places = {path: _places(entry.content, plan.files) for path, entry in plan.tree.items() if type(entry) is File}
    for hierarchy in plan.hierarchies:
        places |= {path: (_place(block, size),) for path, (block, size) in hierarchy.places.items()}
        listings = list(hierarchy.rows.values())
        for start in range(0, len(listings), MANY):
            some = listings[start : start + MANY]
            out.write(b"".join([_directory(rows, places, overflow, plan.overflow) for rows in some]))
    out.write(bytes(overflow.data) + bytes(-len(overflow.data) % BLOCK))
    pieces: list[Slice] = []
    for content in plan.files:
        pieces += content
        if rest := -length(content) % BLOCK:
            pieces.append(Slice(None, 0, rest))
    out.extend(tuple(pieces))


def _names(tree: Mapping[str, Entry]) -> Mapping[str, list[str]]:
    """Directory -> the paths of what is in it."""
    names: dict[str, list[str]] = {"": []}
    for path, entry in tree.items():
        if type(entry) is Directory:
            names.setdefault(path, [])
        if path:
            names[parent(path)].append(path)
    return names


def _draft(tree: Mapping[str, Entry], names: Mapping[str, list[str]], joliet: bool) -> _Hierarchy:
    """The hierarchy with the sizes of its directories, which are nowhere yet."""
    identifiers, rows, places = {"": b"\0"}, {}, {}
    overflow = rockridge.Overflow()
    directories = [""]
    for path in directories:  # grows below, level by level
        if joliet:
            children = isoname.joliet(tree, [child for child in names[path] if type(tree[child]) in (Directory, File)])
        else:
            children = isoname.primary(tree, names[path])
        rows[path], size = _rows(tree, path, children, joliet, overflow)
        places[path] = (0, size)
        found = {child: identifier for identifier, child in children if type(tree[child]) is Directory}
        identifiers |= found
        directories += found
    table = sum(8 + len(name) + len(name) % 2 for name in identifiers.values())
    overflow_size = len(overflow.data) + -len(overflow.data) % BLOCK
    return _Hierarchy(joliet, identifiers, rows, places, table, overflow_size)


def _rows(
    tree: Mapping[str, Entry],
    path: str,
    children: Sequence[tuple[bytes, str]],
    joliet: bool,
    overflow: rockridge.Overflow,
) -> tuple[list[_Row], int]:
    """The records of a directory, none across the end of a block (6.8.1.1), and its size in bytes."""
    rows: list[_Row] = []
    at = 0
    if path or joliet:
        for identifier, place in ((b"\0", path), (b"\1", parent(path))):
            head, tail = _dot(identifier, joliet, tree[place][:4])
            rows.append((head, place, 0, tail, ()))
            at += PLACED + len(tail)
    else:  # the very first record says more than those
        children = [(b"\0", ""), (b"\1", ""), *children]
    for identifier, child in children:
        entry = tree[child]
        extents, flags = _extents(entry)
        fields: Sequence[bytes] = ()
        if not joliet:
            fields = rockridge.fields(entry, 2 if flags else 1, child.rpartition("/")[2])
            if not rows:
                fields = rockridge.first_fields(fields)
        unix = b"".join(fields)
        for number in range(extents):
            late: Sequence[bytes] = ()
            tail = _tail(identifier, flags if number + 1 == extents else MORE_EXTENTS, entry.mtime)
            size = PLACED + len(tail) + len(unix)
            if size <= LONGEST_RECORD:
                tail += unix + PADDING[size % 2]
            else:
                late = fields
                size = PLACED + len(tail) + len(overflow.fitted(fields, LONGEST_RECORD - PLACED - len(tail), 0))
            size += size % 2
            head = HEADS[size]
            if at % BLOCK + size > BLOCK:
                head = bytes(-at % BLOCK) + head
                at += -at % BLOCK
            at += size
            rows.append((head, child, number, tail, late))
    return rows, at + -at % BLOCK


def _extents(entry: Entry) -> tuple[int, int]:
    """How many records an entry takes, one an extent, and the flags of the last."""
    if type(entry) is Directory:
        return 1, IS_DIRECTORY
    return max(-(-length(entry.content) // LARGEST_EXTENT), 1) if type(entry) is File else 1, 0


@lru_cache(rockridge.FEW)
def _dot(identifier: bytes, joliet: bool, kept: tuple[int, int, int, int]) -> tuple[bytes, bytes]:
    """What stands in front of the place of a record that stands for a directory itself or the one above, and behind."""
    fields = () if joliet else rockridge.fields(Directory(*kept), 2)
    tail = _tail(identifier, IS_DIRECTORY, kept[3]) + b"".join(fields)
    tail += PADDING[len(tail) % 2]
    return HEADS[PLACED + len(tail)], tail


def _directory(
    rows: Sequence[_Row], places: Mapping[str, Sequence[bytes]], overflow: rockridge.Overflow, overflow_block: int
) -> bytes:
    """The bytes of a directory."""
    parts: list[bytes] = []
    for head, path, number, tail, late in rows:
        parts += (head, places.get(path, NOWHERE)[number], tail)
        if late:
            fitted = overflow.fitted(late, LONGEST_RECORD - PLACED - len(tail), overflow_block)
            parts += (fitted, PADDING[len(fitted) % 2])
    data = b"".join(parts)
    return data + bytes(-len(data) % BLOCK)


def _places(content: Content, files: Mapping[Content, int]) -> Sequence[bytes]:
    """First block and size of each extent of a file."""
    size = length(content)
    if size <= LARGEST_EXTENT:
        return (_place(files[content], size),) if size else NOWHERE
    return tuple([
        _place(files[content] + at // BLOCK, min(LARGEST_EXTENT, size - at))
        for at in range(0, size, LARGEST_EXTENT)
    ])  # fmt: skip


def _tail(identifier: bytes, flags: int, mtime: int) -> bytes:
    """A directory record (9.1) behind its place, without its system use fields."""
    size = len(identifier)
    return _times(mtime, flags) + LENGTHS[size] + identifier + PADDING[1 - size % 2]


@lru_cache(rockridge.FEW)
def _times(mtime: int, flags: int) -> bytes:
    return rockridge.date(mtime) + pack("<BBBHH", flags, 0, 0, 1, 256)


def _descriptor(plan: Plan, hierarchy: _Hierarchy, label: str, table: int) -> bytes:
    """The primary or the supplementary volume descriptor (8.4, 8.5)."""
    encoding = "utf-16-be" if hierarchy.joliet else "ascii"

    def text(value: str, size: int) -> bytes:
        return value.ljust(size).encode(encoding)[:size]

    block, size = hierarchy.places[""]
    tail = _tail(b"\0", IS_DIRECTORY, plan.tree[""].mtime)
    tables = -(-hierarchy.table_size // BLOCK)
    made = b"1980010100000000\0"
    never = b"0" * 16 + b"\0"
    return b"".join([
        b"\x02CD001\x01\0" if hierarchy.joliet else b"\x01CD001\x01\0",
        text("LINUX", 32), text(label, 32), bytes(8), _both(plan.end),
        (b"%/E" if hierarchy.joliet else b"").ljust(32, b"\0"),
        pack("<HHHHHH", 1, 256, 1, 256, BLOCK, BLOCK >> 8 | (BLOCK & 0xFF) << 8),
        _both(hierarchy.table_size), pack("<II", table, 0), pack(">II", table + tables, 0),
        HEADS[PLACED + len(tail)], _both(block), _both(size), tail,
        text("", 128), text("", 128), text("", 128), text("NODEKILN", 128), text("", 37), text("", 37), text("", 37),
        made, made, never, made, b"\x01",
    ]).ljust(BLOCK, b"\0")  # fmt: skip


def _path_tables(hierarchy: _Hierarchy) -> list[bytes]:
    """All directories, level by level (9.4), in both byte orders."""
    little, big = Struct("<BBIH").pack, Struct(">BBIH").pack
    numbers = {path: number for number, path in enumerate(hierarchy.identifiers, 1)}
    tables: tuple[list[bytes], list[bytes]] = ([], [])
    for path, name in hierarchy.identifiers.items():
        fixed = (len(name), 0, hierarchy.places[path][0], numbers[path.rpartition("/")[0]])
        padding = PADDING[len(name) % 2]
        tables[0].extend((little(*fixed), name, padding))
        tables[1].extend((big(*fixed), name, padding))
    return [b"".join(table) for table in tables]


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


def _place(block: int, size: int) -> bytes:
    """First block and size, as a directory record has them."""
    return LITTLE(block) + BIG(block) + LITTLE(size) + BIG(size)


def _both(number: int) -> bytes:
    return LITTLE(number) + BIG(number)
