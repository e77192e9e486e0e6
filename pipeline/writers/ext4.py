"""ext4 file systems: extents, 64-bit addresses, checksums of all metadata, extended attributes, hashed directories.

A file's bytes are taken by reference, its holes take no space; what a mount writes is not there yet (no journal unless
it is asked for). The UUID and the seed of the directories' hashes follow from the tree. What is numbered how
is in ext4tree, what lies where in ext4layout, what describes a file in ext4inode, directories in ext4dir.

Source: kernel, Documentation/filesystems/ext4.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from struct import pack
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.digest import Digest
from pipeline.tree import EPOCH, Content, Device, Directory, Entry, File, Sink, Slice, Symlink, cut, length, parent
from pipeline.writers import Unwritable, disk, ext4dir, ext4inode, ext4layout, ext4tree, raw
from pipeline.writers.ext4inode import Extent, Inode
from pipeline.writers.ext4layout import BLOCK, JOURNAL_INODE, MASK, PER_GROUP, Geometry, Space
from pipeline.writers.ext4tree import Contents
from pipeline.writers.extents import Run

VERSION = 2
GRAIN = disk.MIB // BLOCK
"""A file system without a given size ends at a whole MiB."""
BYTES_PER_INODE = 16384
"""Of a file system with a given size, which is one to write into (mke2fs has the same)."""
LEAST_JOURNAL, MOST_JOURNAL = 1024, 16384
"""4 MiB: the least that there may be; 64 MiB: that of a file system of 4 GiB, and more is no use to a node."""
JOURNAL_SHARE = 64
"""The journal's part of a file system."""
LARGEST_FILE = ext4tree.LARGEST_FILE

Piece = tuple[int, bytes | Content]
"""Where it lies (in blocks), and what it is."""


class _Placed(NamedTuple):
    """Where content lies, and the blocks of the tree that says so."""

    extents: Sequence[Extent] = ()
    nodes: Sequence[int] = ()
    blocks: int = 0
    """Of both."""


_NOWHERE = _Placed()


class _Layout(NamedTuple):
    geometry: Geometry
    space: Space
    groups: ext4layout.Groups
    firsts: dict[int, int]
    """inode -> the first block of what lies in one piece."""
    places: dict[int, _Placed]
    """inode -> where everything else lies."""
    attributes: dict[int, int]
    """inode -> block of its attributes, if they do not fit into the inode."""


def write(
    tree: Mapping[str, Entry],
    out: Sink,
    size: int | None = None,
    label: str = "",
    *,
    journal: bool = False,
    digest: Digest | None = None,
) -> UUID:
    """Write the ordered, complete `tree` as a file system of `size` bytes, or of as few MiB as hold it; its UUID.

    tree: may be empty; lost+found is added. digest: what names it, if the caller knows that. Unwritable for what ext4
    cannot carry, and for a `size` that is too small.
    """
    name = raw(label)
    if len(name) > ext4tree.LONGEST_LABEL:
        raise Unwritable(f"label {label!r}: ext4 has room for {ext4tree.LONGEST_LABEL} bytes")
    contents = ext4tree.numbered(tree, f"{label} {size} {journal}", _journal_blocks(size) if journal else 0, digest)
    layout = _fitted(contents) if size is None else _fixed(contents, size)
    pieces = sorted(_pieces(contents, layout, name), key=itemgetter(0))
    for kind, parts in groupby(_filled(pieces, size or layout.geometry.blocks * BLOCK), type):
        if kind is bytes:
            out.write(b"".join(parts))
        else:
            out.extend(tuple(chain.from_iterable(parts)))
    return contents.identity


def _filled(pieces: Iterable[Piece], end: int) -> Iterator[Any]:
    """What `pieces` are (bytes or Content), in order, and the holes between them, up to the byte `end`."""
    position = 0
    for block, data in pieces:
        if position < (place := block * BLOCK):
            yield (Slice(None, 0, place - position),)
        yield data
        position = place + (len(data) if isinstance(data, bytes) else length(data))
    if position < end:
        yield (Slice(None, 0, end - position),)


def _journal_blocks(size: int | None) -> int:
    return min(max((size or 0) // BLOCK // JOURNAL_SHARE, LEAST_JOURNAL), MOST_JOURNAL)


def _fixed(contents: Contents, size: int) -> _Layout:
    """The layout of a file system of `size` bytes."""
    blocks = size // BLOCK
    geometry = ext4layout.geometry(blocks, max(size // BYTES_PER_INODE, max(contents.owners)))
    if geometry.inodes_per_group <= PER_GROUP:
        layout = _layout(contents, geometry)
        rest = blocks % PER_GROUP
        if layout.space.next <= blocks and (not rest or rest > geometry.head):
            return layout
    least = _fitted(contents).geometry.blocks * BLOCK
    raise Unwritable(f"an ext4 file system of {size} bytes is too small: this one takes {least}; give another size")


def _fitted(contents: Contents) -> _Layout:
    """The smallest layout of whole MiB."""
    inodes = max(contents.owners)
    blocks = (-(-inodes // PER_GROUP) - 1) * PER_GROUP + 1
    singles = sum(_counts(contents).values()) + len(contents.attributes) + contents.journal
    while True:
        blocks += -blocks % GRAIN
        geometry = ext4layout.geometry(blocks, inodes)
        space = Space(geometry.head)
        ext4layout.groups(geometry, space)
        space.take(singles)
        for runs in contents.runs.values():
            _placed(space, runs)
        if space.next <= blocks:
            return _layout(contents, geometry)
        blocks = space.next


def _layout(contents: Contents, geometry: Geometry) -> _Layout:
    """Give everything its blocks: groups, attributes, the journal, directories, files, and what is not in one piece."""
    space = Space(geometry.head)
    groups = ext4layout.groups(geometry, space)
    attributes: dict[int, int] = {}
    for _, numbers in contents.attributes:
        attributes |= dict.fromkeys(numbers, space.take_whole(1))
    places = {JOURNAL_INODE: _placed(space, [Run(0, contents.journal)])} if contents.journal else {}
    firsts: dict[int, int] = {}
    for number, count in _counts(contents).items():
        if (first := space.take_piece(count)) is None:
            places[number] = _placed(space, [Run(0, count)])
        else:
            firsts[number] = first
    places |= {number: _placed(space, runs) for number, runs in contents.runs.items()}
    return _Layout(geometry, space, groups, firsts, places, attributes)


def _counts(contents: Contents) -> dict[int, int]:
    """inode -> blocks of what is in one piece."""
    return {number: -(-size // BLOCK) for number, size in contents.sizes.items()}


def _placed(space: Space, runs: Sequence[Run]) -> _Placed:
    """Blocks for those `runs` of a file that hold something, and for its extent tree."""
    found, blocks = [], 0
    for first, end in runs:
        blocks += end - first
        logical = first
        for place, count in space.take(end - first):
            if count <= ext4inode.LONGEST:
                found.append(Extent(logical, place, count))
            else:
                for start in range(0, count, ext4inode.LONGEST):
                    found.append(Extent(logical + start, place + start, min(count - start, ext4inode.LONGEST)))
            logical += count
    if len(found) <= ext4inode.INLINE:
        return _Placed(found, (), blocks)
    taken = space.take(ext4inode.node_count(len(found)))
    nodes = [block for place, count in taken for block in range(place, place + count)]
    return _Placed(found, nodes, blocks + len(nodes))


def _pieces(contents: Contents, layout: _Layout, label: bytes) -> Iterator[Piece]:
    """Everything that is on the disk, with its place."""
    seed, g = contents.seed, layout.geometry
    seeds = ext4inode.seeds(seed, [*contents.owners, JOURNAL_INODE])
    inodes, journal = {}, b""
    for number, path in contents.owners.items():
        entry = contents.tree[path]
        if number in layout.firsts and not entry.xattrs:  # as nearly all are
            inodes[number] = _plain(entry, contents.links[number], contents.sizes[number], layout.firsts[number])
            continue
        placed = _place(contents, layout, number)
        body, nodes = ext4inode.tree(placed.extents, placed.nodes, seeds[number])
        inode = _inode(entry, contents.links[number], placed, body, layout.attributes.get(number, 0))
        inodes[number] = ext4inode.packed(inode)
        yield from nodes
    yield from _data(contents, layout)
    yield from _directories(contents, layout, seeds)
    if contents.journal:
        inodes[JOURNAL_INODE], journal, record = _journal(contents, layout.places[JOURNAL_INODE])
        yield record
    for block, users in contents.attributes:
        place = layout.attributes[users[0]]
        yield place, ext4inode.shared(block, len(users), place, seed)
    yield from _tables(layout, ext4inode.table(inodes, seeds))
    directories = [contents.numbers[path] for path in contents.leaves]
    table, bitmaps, free = ext4layout.descriptors(g, layout.groups, layout.space.used, max(inodes), directories, seed)
    yield from bitmaps
    spare = g.groups * g.inodes_per_group - max(inodes)
    superblock = ext4layout.Superblock(contents.identity, contents.hash_seed, label, free, spare, journal)
    for group in ext4layout.COPIES:
        if group < g.groups:
            head = bytes(0 if group else 1024) + superblock.packed(g, group)
            yield group * PER_GROUP, head.ljust(BLOCK, b"\0") + table


def _place(contents: Contents, layout: _Layout, number: int) -> _Placed:
    """Where the content of an inode lies."""
    if (first := layout.firsts.get(number)) is None:
        return layout.places.get(number, _NOWHERE)
    count = -(-contents.sizes[number] // BLOCK)
    return _Placed([Extent(0, first, count)], (), count)


def _plain(entry: Entry, links: int, size: int, first: int) -> bytes:
    """The inode of an `entry` without attributes whose `size` bytes lie in one piece."""
    flags = ext4inode.EXTENTS
    if type(entry) is Directory and size > BLOCK:
        flags |= ext4inode.INDEX
    return ext4inode.plain(entry[:4], ext4tree.kinds(entry)[1], links, flags, size, first)


def _inode(entry: Entry, links: int, placed: _Placed, body: bytes, attribute_block: int) -> Inode:
    """The inode of `entry`; `body` is the root of its extent tree."""
    mode, uid, gid, mtime, xattrs, *_ = entry
    size, flags = 0, ext4inode.EXTENTS
    if type(entry) is File:
        size = entry.size
    elif type(entry) is Directory:
        count = placed.blocks - len(placed.nodes)
        size, flags = count * BLOCK, flags | (ext4inode.INDEX if count > 1 else 0)
    else:
        text = raw(entry.target) if type(entry) is Symlink else b""
        size = len(text)
        if not placed.blocks:
            body, flags = ext4inode.device(entry.major, entry.minor) if type(entry) is Device else text, 0
    return Inode(
        mode & 0o7777 | ext4tree.kinds(entry)[1],
        uid,
        gid,
        mtime,
        links,
        size,
        placed.blocks + bool(attribute_block),
        flags,
        body,
        b"" if attribute_block else ext4inode.inside(xattrs) or b"",
        attribute_block,
    )


def _data(contents: Contents, layout: _Layout) -> Iterator[Piece]:
    """What the blocks of files and links hold."""
    for number, data in contents.data.items():
        if (first := layout.firsts.get(number)) is not None:
            yield first, data
        else:
            assert not isinstance(data, bytes)  # a link has one block
            run = Run(0, -(-contents.sizes[number] // BLOCK))
            yield from _cut([run], [data], layout.places[number].extents)
    for number, parts in contents.parts.items():
        yield from _cut(contents.runs[number], parts, layout.places[number].extents)


def _cut(runs: Sequence[Run], parts: Sequence[Content], places: Sequence[Extent]) -> Iterator[Piece]:
    """What the blocks of a file hold, at their `places`."""
    pending = iter(places)
    for run, part in zip(runs, parts, strict=True):
        size, done = length(part), 0
        while done < run.blocks * BLOCK:
            extent = next(pending)
            yield extent.place, cut(part, done, min(extent.blocks * BLOCK, size - done))
            done += extent.blocks * BLOCK


def _blocks(contents: Contents, layout: _Layout, number: int) -> Sequence[int]:
    """The blocks of a directory."""
    if (first := layout.firsts.get(number)) is not None:
        return range(first, first + contents.sizes[number] // BLOCK)
    return [block for _, first, count in layout.places[number].extents for block in range(first, first + count)]


def _directories(contents: Contents, layout: _Layout, seeds: Mapping[int, int]) -> Iterator[Piece]:
    """The blocks of all directories."""
    places: list[int] = []
    bodies: list[bytes] = []
    starts: list[int] = []
    for path, leaves in contents.leaves.items():
        number, above = contents.numbers[path], contents.numbers[parent(path)]
        blocks = _blocks(contents, layout, number)
        index = ext4dir.index(leaves, number, above, seeds[number])
        yield from zip(blocks, index, strict=False)
        places += blocks[len(index) :]
        bodies += ext4dir.bodies(leaves, number, above)
        starts += [seeds[number]] * len(leaves)
    yield from zip(places, ext4dir.sealed(bodies, starts), strict=True)


def _tables(layout: _Layout, inodes: bytes) -> Iterator[Piece]:
    """The inode tables, as far as they are used; unused inodes are zeros."""
    size = layout.geometry.inodes_per_group * ext4layout.INODE
    for place, start in zip(layout.groups.tables, range(0, len(inodes), size), strict=False):
        yield place, inodes[start : start + size]


def _journal(contents: Contents, placed: _Placed) -> tuple[bytes, bytes, Piece]:
    """The journal's inode, what the superblock keeps of it, and its first block: an empty journal (journal.rst)."""
    body, _ = ext4inode.tree(placed.extents, [], contents.seed)
    size = contents.journal * BLOCK
    mode = stat.S_IFREG | 0o600
    inode = Inode(mode, 0, 0, EPOCH, 1, size, contents.journal, ext4inode.EXTENTS, body)
    record = pack(">IIIIIIII12x4x16sI", 0xC03B3998, 4, 0, BLOCK, contents.journal, 1, 1, 0, contents.identity.bytes, 1)
    backup = body.ljust(60, b"\0") + pack("<II", size >> 32, size & MASK)
    return ext4inode.packed(inode), backup, (placed.extents[0].place, record)
