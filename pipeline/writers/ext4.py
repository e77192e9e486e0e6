"""ext4 file systems: extents, 64-bit addresses, checksums of all metadata, extended attributes, hashed directories.

A file's bytes are taken by reference, its holes take no space; a journal is made on request. The UUID follows from the
tree. Seeds of hashes and checksums follow from the label alone, so that an unchanged section of the tree is not laid
out again. ext4tree numbers inodes, ext4section lays out a section, ext4layout allocates blocks; ext4inode and ext4dir
have inodes and directories.

Source: kernel, Documentation/filesystems/ext4.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from struct import pack
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.model.tree import EPOCH, Content, Entry, Memoize, Sink, Slice, cut, length
from pipeline.ondisk.ext4 import EXTENTS_FL, JOURNAL_INODE, JOURNAL_SUPERBLOCK, SUPERBLOCK_OFFSET
from pipeline.writers import FormatError, disk, ext4inode, ext4layout, ext4section, ext4tree, raw
from pipeline.writers.crc32c import crc32c
from pipeline.writers.ext4inode import Inode
from pipeline.writers.ext4layout import (
    BLOCK,
    COPIES,
    INODE,
    MASK,
    PER_GROUP,
    Ext4Geometry,
    Seeds,
    Space,
    Superblock,
)
from pipeline.writers.ext4section import Piece, Placement, SpaceRequest
from pipeline.writers.ext4tree import Contents
from pipeline.writers.extents import Run

VERSION = 4
GRAIN = disk.MIB // BLOCK
"""Blocks of a MiB. Without a given size, a file system ends at a whole MiB."""
BYTES_PER_INODE = 16384
"""Bytes of a file system of given size for each inode, as in mke2fs: it is made to be written to."""
LEAST_JOURNAL, MOST_JOURNAL = 1024, 16384
"""Minimum number of blocks of a journal, 4 MiB; and the maximum that is useful to a node, 64 MiB."""
JOURNAL_SHARE = 64
"""The journal's part of a file system."""
LARGEST_FILE = ext4tree.LARGEST_FILE


class _Unit(NamedTuple):
    """A unit of layout: a section, or all spanning directories."""

    name: str
    contents: Callable[[], Contents]


class _Requirements(NamedTuple):
    """Inodes and blocks that the file system needs."""

    inodes: int
    journal: int
    """Blocks."""
    requests: Sequence[SpaceRequest]

    def place(self, geometry: Ext4Geometry) -> tuple[Space, ext4layout.Groups, Placement, list[int]]:
        """Allocates the groups, the journal and each unit; returns the rest of the space, and each unit's first block,
        too."""
        space = Space(geometry.head)
        groups = ext4layout.groups(geometry, space)
        journal = ext4section.allocate(space, [Run(0, self.journal)] if self.journal else [])
        firsts = []
        for space_request in self.requests:
            firsts.append(space.next)
            space_request.take(space)
        return space, groups, journal, firsts


def write(
    tree: Mapping[str, Entry],
    keep: Memoize,
    out: Sink,
    size: int | None = None,
    label: str = "",
    *,
    journal: bool = False,
) -> UUID:
    """Writes the ordered, complete `tree` as a file system of `size` bytes, or of the fewest MiB that hold it; returns
    its UUID.

    tree: may be empty; lost+found is added. keep: memoises the layout of a section. FormatError for what ext4 cannot
    hold, and for a `size` that is too small.
    """
    name = raw(label)
    if len(name) > ext4tree.LONGEST_LABEL:
        room = f"ext4 has room for {ext4tree.LONGEST_LABEL}"
        raise FormatError(f"label {label!r} of {len(name)} bytes; {room}: shorten it")
    how, names = f"ext4 {VERSION} {label}", disk.identity(f"ext4 directories {label}").bytes
    seeds, whole = Seeds(names, crc32c(MASK, names)), ext4tree.divide(tree)
    parts = [_Unit(each.name, cache(partial(ext4tree.contents, each, names))) for each in whole.sections]
    parts.append(_Unit(whole.name, cache(partial(ext4tree.spanning_contents, whole, names))))
    requests = [_request(*keep(f"{how} space_request {part.name}", partial(_request_space, part))[0]) for part in parts]
    required = _Requirements(whole.inodes, _journal_blocks(size) if journal else 0, requests)
    geometry = _smallest_geometry(required) if size is None else _geometry_of_size(required, size)
    identity = disk.identity(f"{how} {size} {journal} {[part.name for part in parts]}")
    superblock = Superblock(identity, seeds, name)
    pieces = _pieces(parts, required, geometry, partial(_memoised_layout, keep, how, seeds), superblock)
    ext4section.emit(sorted(pieces, key=itemgetter(0)), 0, size or geometry.blocks * BLOCK, out)
    return identity


def _pieces(
    parts: Sequence[_Unit],
    required: _Requirements,
    geometry: Ext4Geometry,
    laid: Callable[[_Unit, int, int], tuple[Any, Content]],
    superblock: Superblock,
) -> Iterator[Piece]:
    """Yields everything on the disk with its offset. laid: returns a unit's layout for its first block. superblock: its
    fields that do not depend on the layout."""
    space, groups, journal, firsts = required.place(geometry)
    directories: list[int] = []
    for part, first in zip(parts, firsts, strict=True):
        result, content = laid(part, geometry.head, first)
        blocks, rows = _split_end(content, INODE * sum(count for _, count in result["inodes"]))
        directories += result["directories"]
        yield from _without_copies(geometry, first, blocks)
        yield from _rows(geometry, groups, result["inodes"], rows)
    if required.journal:
        row, record, start = _journal(required.journal, journal, superblock)
        superblock = superblock._replace(journal=record)
        yield groups.tables[0] * BLOCK + (JOURNAL_INODE - 1) * INODE, row
        yield start
    seed = superblock.seeds.checksums
    table, bitmaps, free = ext4layout.descriptors(geometry, groups, space.used, required.inodes, directories, seed)
    yield from ((block * BLOCK, bitmap) for block, bitmap in bitmaps)
    spare = geometry.groups * geometry.inodes_per_group - required.inodes
    yield from _heads(geometry, superblock._replace(free_blocks=free, free_inodes=spare), table)


def _journal_blocks(size: int | None) -> int:
    return min(max((size or 0) // BLOCK // JOURNAL_SHARE, LEAST_JOURNAL), MOST_JOURNAL)


def _geometry_of_size(required: _Requirements, size: int) -> Ext4Geometry:
    """The geometry of a file system of `size` bytes."""
    blocks = _check_blocks(size // BLOCK)
    geometry = ext4layout.geometry(blocks, max(size // BYTES_PER_INODE, required.inodes))
    if geometry.inodes_per_group <= PER_GROUP:
        rest = blocks % PER_GROUP
        if required.place(geometry)[0].next <= blocks and (not rest or rest > geometry.head):
            return geometry
    least = _smallest_geometry(required).blocks * BLOCK
    raise FormatError(f"an ext4 file system of {size} bytes is too small: this one takes {least}; give another size")


def _smallest_geometry(required: _Requirements) -> Ext4Geometry:
    """The smallest geometry of whole MiB."""
    blocks = (-(-required.inodes // PER_GROUP) - 1) * PER_GROUP + 1
    while True:
        blocks += -blocks % GRAIN
        geometry = ext4layout.geometry(blocks, required.inodes)
        end = required.place(geometry)[0].next
        if end <= blocks:
            return geometry
        blocks = _check_blocks(end)


def _check_blocks(blocks: int) -> int:
    """`blocks`, if a file system may have so many."""
    if blocks > ext4layout.MOST_BLOCKS:
        room = f"ext4 has room for {ext4layout.MOST_BLOCKS * BLOCK}"
        raise FormatError(f"a file system of {blocks * BLOCK} bytes; {room}: make the node, or its disk, smaller")
    return blocks


def _request_space(part: _Unit, _: Sink) -> Any:
    return ext4section.space_request(part.contents())


def _request(blocks: int, runs: Sequence[Sequence[tuple[int, int]]]) -> SpaceRequest:
    """Restores a request from JSON."""
    return SpaceRequest(blocks, [[Run(*run) for run in each] for each in runs])


def _memoised_layout(keep: Memoize, how: str, seeds: Seeds, part: _Unit, head: int, first: int) -> tuple[Any, Content]:
    """A part that starts at the block `first`, as ext4section lays it out."""
    return keep(f"{how} at {head} {first} {part.name}", partial(_lay, part, seeds, head, first))


def _lay(part: _Unit, seeds: Seeds, head: int, first: int, out: Sink) -> Any:
    return ext4section.lay(part.contents(), seeds, Space(head, first), out)


def _split_end(content: Content, count: int) -> tuple[Content, Content]:
    """Splits off the last `count` bytes, which were written at once."""
    if not count:
        return content, ()
    *others, last = content
    rest = last.length - count
    before = [last._replace(length=rest)] if rest else []
    return (*others, *before), (Slice(last.blob, last.offset + rest, count),)


def _without_copies(geometry: Ext4Geometry, first: int, blocks: Content) -> Iterator[Piece]:
    """The blocks of a part from `first` on, without the room that they leave for the superblock's copies."""
    place, end = first * BLOCK, first * BLOCK + length(blocks)
    for group in COPIES:
        if place <= (copy := group * PER_GROUP * BLOCK) < end:
            yield place, cut(blocks, 0, copy - place)
            behind = copy + geometry.head * BLOCK
            blocks, place = cut(blocks, behind - place, end - behind), behind
    yield place, blocks


def _rows(
    geometry: Ext4Geometry, groups: ext4layout.Groups, runs: Sequence[tuple[int, int]], rows: Content
) -> Iterator[Piece]:
    """The `rows` of inodes, in the tables of their groups. runs: their numbers, and how many follow each."""
    done = 0
    for number, count in runs:
        end = number + count
        while number < end:
            group, index = divmod(number - 1, geometry.inodes_per_group)
            here = min(end - number, geometry.inodes_per_group - index)
            yield groups.tables[group] * BLOCK + index * INODE, cut(rows, done * INODE, here * INODE)
            number, done = number + here, done + here


def _journal(blocks: int, where: Placement, superblock: Superblock) -> tuple[bytes, bytes, Piece]:
    """Returns the journal's inode, its copy for the superblock, and its first block: an empty journal (journal.rst)."""
    body, _ = ext4inode.tree(where.extents, [], superblock.seeds.checksums)
    size = blocks * BLOCK
    inode = Inode(stat.S_IFREG | 0o600, 0, 0, EPOCH, 1, size, blocks, EXTENTS_FL, body)
    seed = ext4inode.seeds(superblock.seeds.checksums, [JOURNAL_INODE])
    record = JOURNAL_SUPERBLOCK.pack(
        s_blocksize=BLOCK, s_maxlen=blocks, s_first=1, s_sequence=1, s_uuid=superblock.identity.bytes, s_nr_users=1
    )
    backup = body.ljust(60, b"\0") + pack("<II", size >> 32, size & MASK)
    return ext4inode.table([ext4inode.pack_inode(inode)], seed), backup, (where.extents[0].place * BLOCK, record)


def _heads(geometry: Ext4Geometry, superblock: Superblock, table: bytes) -> Iterator[Piece]:
    """The superblock and the descriptors, and all copies of them."""
    for group in COPIES:
        if group < geometry.groups:
            head = bytes(0 if group else SUPERBLOCK_OFFSET) + superblock.pack(geometry, group)
            yield group * PER_GROUP * BLOCK, head.ljust(BLOCK, b"\0") + table
