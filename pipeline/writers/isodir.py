"""Directories of an ISO 9660 file system: their records, with Rock Ridge's fields, and Joliet's.

Source: ECMA-119 (4th edition; section numbers are its), the Joliet specification (1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.model.tree import Directory, Entry, File, Sink, length, parent
from pipeline.ondisk import iso9660 as ondisk
from pipeline.ondisk.iso9660 import BIG, BLOCK, IS_DIRECTORY, LITTLE, MORE_EXTENTS, both_16
from pipeline.writers import FormatError, isoname, rockridge

LARGEST_EXTENT = (1 << 32) - BLOCK
"""Maximum size of an extent, in bytes: whole blocks, in a field of 32 bits (9.1.4). A larger file is a row of extents
(level 3)."""
LARGEST_FILE = 100 * LARGEST_EXTENT
"""Maximum size of a file, in bytes: Linux reads no more than 100 extents (fs/isofs/inode.c, isofs_read_level3_size)."""
MOST_BLOCKS = (1 << 32) - 1
"""Maximum number of blocks of a volume: 8 TiB (8.4.8, Volume Space Size: 32 bits; 9.1.3 for the places in it)."""
LONGEST_RECORD = 254
PLACED = ondisk.RECORD.offset["recorded"]
"""Bytes of a record up to the end of its location and data length."""
HEADS = [bytes((size, 0)) for size in range(LONGEST_RECORD + 1)]
LENGTHS = [bytes((size,)) for size in range(LONGEST_RECORD + 1)]
PADDING = (b"", b"\0")
NOWHERE = (bytes(16),)
"""The place of an entry without bytes."""
MANY = 256
"""Directories that are written at once."""

Where = tuple[int, int]
"""First block, and size in bytes, of a directory or a file; of an empty one 0 and 0."""

_Row = tuple[bytes, str, int, bytes, Sequence[bytes]]
"""A directory record before its place is known: the bytes before that, the path, the number of the extent, the bytes
after; and the Rock Ridge fields, if they do not fit and some go into the overflow."""


class Directories(NamedTuple):
    """Directories as one kind of reader sees them: with Rock Ridge, or Joliet's. Nothing has a place."""

    rows: Mapping[str, list[_Row]]
    """Directory -> its records."""
    sizes: Mapping[str, int]
    """Directory -> its size in bytes, in whole blocks."""
    folders: Mapping[str, list[tuple[str, str]]]
    """Directory -> those in it with their identifiers (as Latin-1), in the order of these; left out if there are none.
    """
    overflow: int
    """Bytes, in whole blocks, of the Rock Ridge fields that do not fit into records."""


class Area(NamedTuple):
    """Directories in a row of blocks: the primary ones, Joliet's, and the overflow."""

    listings: Sequence[Directories]
    places: Sequence[Mapping[str, Where]]
    overflow: int
    """Its first block."""
    end: int


def area(tree: Mapping[str, Entry], names: Mapping[str, list[str]], start: int) -> Area:
    """Lays out the directories of `names`, each with its paths, from the block `start` on. tree: those directories,
    their entries, and their parents."""
    listings, places, block = [_listings(tree, names, joliet) for joliet in (False, True)], [], start
    for each in listings:
        own = {}
        for path, size in each.sizes.items():
            own[path] = (block, size)
            block += size // BLOCK
        places.append(own)
    return Area(listings, places, block, check_blocks(block + listings[0].overflow // BLOCK))


def check_blocks(block: int) -> int:
    """`block`, where a volume may end in front of it."""
    if block > MOST_BLOCKS:
        room = f"ISO 9660 has room for {MOST_BLOCKS * BLOCK}"
        raise FormatError(f"a disc of {block * BLOCK} bytes or more; {room}: make the node smaller")
    return block


def write(area: Area, others: Sequence[Mapping[str, Where]], files: Mapping[str, Where], out: Sink) -> None:
    """Writes an area. others: places of entries that are directories outside of it, primary and Joliet's. files: places
    of files in it."""
    overflow = rockridge.Overflow()
    placed = {path: _extents_at(*where) for path, where in files.items()}
    for listings, own, other in zip(area.listings, area.places, others, strict=True):
        places = {path: (_place(*where),) for path, where in (*own.items(), *other.items())} | placed
        rows = list(listings.rows.values())
        for start in range(0, len(rows), MANY):
            batch = rows[start : start + MANY]
            out.write(b"".join([_directory(each, places, overflow, area.overflow) for each in batch]))
    out.write(bytes(overflow.data))
    out.zeros(-len(overflow.data) % BLOCK)


def root_record(where: Where, mtime: int) -> bytes:
    """The record of the root, as a descriptor has it."""
    behind = _tail(b"\0", IS_DIRECTORY, mtime)
    return HEADS[PLACED + len(behind)] + _place(*where) + behind


def _listings(tree: Mapping[str, Entry], names: Mapping[str, list[str]], joliet: bool) -> Directories:
    rows, sizes, folders, overflow = {}, {}, {}, rockridge.Overflow()
    for path, paths in names.items():
        if joliet:
            children = isoname.joliet(tree, [child for child in paths if type(tree[child]) in (Directory, File)])
        else:
            children = isoname.primary(tree, paths)
        rows[path], sizes[path] = _rows(tree, path, children, joliet, overflow)
        if found := [(child, name.decode("latin-1")) for name, child in children if type(tree[child]) is Directory]:
            folders[path] = found
    return Directories(rows, sizes, folders, len(overflow.data) + -len(overflow.data) % BLOCK)


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
            overflowing: Sequence[bytes] = ()
            tail = _tail(identifier, flags if number + 1 == extents else MORE_EXTENTS, entry.mtime)
            size = PLACED + len(tail) + len(unix)
            if size <= LONGEST_RECORD:
                tail += unix + PADDING[size % 2]
            else:
                overflowing = fields
                size = PLACED + len(tail) + len(overflow.fit(fields, LONGEST_RECORD - PLACED - len(tail), 0))
            size += size % 2
            head = HEADS[size]
            if at % BLOCK + size > BLOCK:
                head = bytes(-at % BLOCK) + head
                at += -at % BLOCK
            at += size
            rows.append((head, child, number, tail, overflowing))
    return rows, at + -at % BLOCK


def _extents(entry: Entry) -> tuple[int, int]:
    """Returns the number of records of an entry, one an extent, and the flags of the last."""
    if type(entry) is Directory:
        return 1, IS_DIRECTORY
    return max(-(-length(entry.content) // LARGEST_EXTENT), 1) if type(entry) is File else 1, 0


@lru_cache(rockridge.FEW)
def _dot(identifier: bytes, joliet: bool, metadata: tuple[int, int, int, int]) -> tuple[bytes, bytes]:
    """Returns the bytes before and after the place in a record of a directory itself or its parent."""
    fields = () if joliet else rockridge.fields(Directory(*metadata), 2)
    tail = _tail(identifier, IS_DIRECTORY, metadata[3]) + b"".join(fields)
    tail += PADDING[len(tail) % 2]
    return HEADS[PLACED + len(tail)], tail


def _directory(
    rows: Sequence[_Row], places: Mapping[str, Sequence[bytes]], overflow: rockridge.Overflow, overflow_block: int
) -> bytes:
    """The bytes of a directory."""
    parts: list[bytes] = []
    for head, path, number, tail, overflowing in rows:
        parts += (head, places.get(path, NOWHERE)[number], tail)
        if overflowing:
            fitted = overflow.fit(overflowing, LONGEST_RECORD - PLACED - len(tail), overflow_block)
            parts += (fitted, PADDING[len(fitted) % 2])
    data = b"".join(parts)
    return data + bytes(-len(data) % BLOCK)


def _extents_at(block: int, size: int) -> Sequence[bytes]:
    """First block and size of each extent of a file of `size` bytes that starts at `block`."""
    if size <= LARGEST_EXTENT:
        return (_place(block, size),)
    starts = range(0, size, LARGEST_EXTENT)
    return tuple([_place(block + at // BLOCK, min(LARGEST_EXTENT, size - at)) for at in starts])


def _tail(identifier: bytes, flags: int, mtime: int) -> bytes:
    """Returns the part of a directory record (9.1) after its place, without its system use fields."""
    size = len(identifier)
    return _times(mtime, flags) + LENGTHS[size] + identifier + PADDING[1 - size % 2]


@lru_cache(rockridge.FEW)
def _times(mtime: int, flags: int) -> bytes:
    return rockridge.date(mtime) + bytes((flags, 0, 0)) + both_16(1)


def _place(block: int, size: int) -> bytes:
    """First block and size, as a directory record has them."""
    return LITTLE(block) + BIG(block) + LITTLE(size) + BIG(size)
