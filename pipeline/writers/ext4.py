"""ext4 file systems: extents, 64-bit addresses, checksums of all metadata, extended attributes, hashed directories.

A file's bytes are taken by reference, its holes take no space; what a mount writes is not there yet (no journal unless
it is asked for). The UUID and the seed of the directories' hashes follow from the tree. What is numbered how
is in ext4tree, what lies where in ext4layout, what describes a file in ext4inode, directories in ext4dir.

Source: kernel, Documentation/filesystems/ext4.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from struct import pack
from typing import NamedTuple
from uuid import UUID

from pipeline.tree import EPOCH, Content, Device, Directory, Entry, File, Sink, Symlink, cut, length, parent
from pipeline.writers import Unwritable, disk, ext4dir, ext4inode, ext4layout, ext4tree, extents, raw
from pipeline.writers.ext4inode import Extent, Inode
from pipeline.writers.ext4layout import BLOCK, JOURNAL_INODE, MASK, PER_GROUP, Geometry, Space
from pipeline.writers.ext4tree import Contents

VERSION = 1
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

    @property
    def blocks(self) -> int:
        return sum(extent.blocks for extent in self.extents) + len(self.nodes)


class _Layout(NamedTuple):
    geometry: Geometry
    space: Space
    groups: ext4layout.Groups
    places: dict[int, _Placed]
    """By inode."""
    attributes: dict[int, int]
    """inode -> block of its attributes, if they do not fit into the inode."""
    shared: list[tuple[int, bytes, int]]
    """Those blocks: where, what, for how many."""


def write(
    tree: Mapping[str, Entry], out: Sink, size: int | None = None, label: str = "", *, journal: bool = False
) -> UUID:
    """Write the ordered, complete `tree` as a file system of `size` bytes, or of as few MiB as hold it; its UUID.

    tree: may be empty; lost+found is added. Unwritable for what ext4 cannot carry, and for a `size` that is too small.
    """
    name = raw(label)
    if len(name) > ext4tree.LONGEST_LABEL:
        raise Unwritable(f"label {label!r}: ext4 has room for {ext4tree.LONGEST_LABEL} bytes")
    contents = ext4tree.numbered(tree, f"{label} {size} {journal}", _journal_blocks(size) if journal else 0)
    layout = _fitted(contents) if size is None else _fixed(contents, size)
    start = out.tell()
    for block, data in sorted(_pieces(contents, layout, name), key=itemgetter(0)):
        out.zeros(start + block * BLOCK - out.tell())
        out.write(data) if isinstance(data, bytes) else out.extend(data)
    out.zeros(start + (size or layout.geometry.blocks * BLOCK) - out.tell())
    return contents.identity


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
    while True:
        blocks += -blocks % GRAIN
        layout = _layout(contents, ext4layout.geometry(blocks, inodes))
        if layout.space.next <= blocks:
            return layout
        blocks = layout.space.next


def _layout(contents: Contents, geometry: Geometry) -> _Layout:
    """Give everything its blocks: groups, directories, attributes, the journal, then all files."""
    space = Space(geometry.head)
    groups = ext4layout.groups(geometry, space)
    places: dict[int, _Placed] = {}
    for path, leaves in contents.leaves.items():
        places[contents.numbers[path]] = _placed(space, [extents.Run(0, ext4dir.count(leaves, path))])
    attributes, shared = _attributes(contents, space)
    if contents.journal:
        places[JOURNAL_INODE] = _placed(space, [extents.Run(0, contents.journal)])
    for number, path in contents.owners.items():
        entry = contents.tree[path]
        if type(entry) is File:
            places[number] = _placed(space, extents.runs(entry.content, BLOCK))
        elif type(entry) is Symlink and len(raw(entry.target)) > ext4tree.LONGEST_FAST:
            places[number] = _placed(space, [extents.Run(0, 1)])
    return _Layout(geometry, space, groups, places, attributes, shared)


def _placed(space: Space, runs: list[extents.Run]) -> _Placed:
    """Blocks for those `runs` of a file that hold something, and for its extent tree."""
    found = []
    for run in runs:
        logical = run.first
        for place, count in space.take(run.blocks):
            for start in range(0, count, ext4inode.LONGEST):
                found.append(Extent(logical + start, place + start, min(count - start, ext4inode.LONGEST)))
            logical += count
    nodes = space.take(ext4inode.node_count(len(found)))
    return _Placed(found, [block for place, count in nodes for block in range(place, place + count)])


def _attributes(contents: Contents, space: Space) -> tuple[dict[int, int], list[tuple[int, bytes, int]]]:
    """Blocks for attributes that do not fit into their inode; equal ones share theirs."""
    users: dict[bytes, list[int]] = {}
    for number, path in contents.owners.items():
        xattrs = contents.tree[path].xattrs
        if xattrs and ext4inode.inside(xattrs) is None:
            users.setdefault(ext4inode.outside(xattrs, path), []).append(number)
    places: dict[int, int] = {}
    shared = []
    for block, numbers in users.items():
        for start in range(0, len(numbers), ext4inode.MOST_SHARED):
            few = numbers[start : start + ext4inode.MOST_SHARED]
            place = space.take_whole(1)
            shared.append((place, block, len(few)))
            places |= dict.fromkeys(few, place)
    return places, shared


def _pieces(contents: Contents, layout: _Layout, label: bytes) -> Iterator[Piece]:
    """Everything that is on the disk, with its place."""
    seed, g = contents.seed, layout.geometry
    inodes, journal = {}, b""
    for number, path in contents.owners.items():
        own = ext4inode.seed(seed, number)
        placed = layout.places.get(number, _Placed())
        body, nodes = ext4inode.tree(placed.extents, placed.nodes, own)
        inodes[number] = ext4inode.packed(_inode(contents, layout, number, body), own)
        yield from nodes
        yield from _data(contents, path, placed, own)
    if contents.journal:
        inodes[JOURNAL_INODE], journal, record = _journal(contents, layout.places[JOURNAL_INODE])
        yield record
    for place, block, users in layout.shared:
        yield place, ext4inode.shared(block, users, place, seed)
    yield from _tables(layout, inodes)
    directories = [contents.numbers[path] for path in contents.leaves]
    table, bitmaps, free = ext4layout.descriptors(g, layout.groups, layout.space.used, max(inodes), directories, seed)
    yield from bitmaps
    spare = g.groups * g.inodes_per_group - max(inodes)
    superblock = ext4layout.Superblock(contents.identity, contents.hash_seed, label, free, spare, journal)
    for group in ext4layout.COPIES:
        if group < g.groups:
            head = bytes(0 if group else 1024) + superblock.packed(g, group)
            yield group * PER_GROUP, head.ljust(BLOCK, b"\0") + table


def _inode(contents: Contents, layout: _Layout, number: int, body: bytes) -> Inode:
    """The inode `number`; `body` is the root of its extent tree."""
    path = contents.owners[number]
    entry, placed = contents.tree[path], layout.places.get(number)
    attribute_block = layout.attributes.get(number, 0)
    size, flags = 0, ext4inode.EXTENTS
    if type(entry) is File:
        size = entry.size
    elif type(entry) is Directory:
        blocks = ext4dir.count(contents.leaves[path], path)
        size, flags = blocks * BLOCK, flags | (ext4inode.INDEX if blocks > 1 else 0)
    else:
        text = raw(entry.target) if type(entry) is Symlink else b""
        size = len(text)
        if not placed:
            body, flags = ext4inode.device(entry.major, entry.minor) if type(entry) is Device else text, 0
    return Inode(
        entry.mode & 0o7777 | ext4tree.kinds(entry)[1],
        entry.uid,
        entry.gid,
        entry.mtime,
        contents.links[number],
        size,
        (placed.blocks if placed else 0) + bool(attribute_block),
        flags,
        body,
        b"" if attribute_block else ext4inode.inside(entry.xattrs) or b"",
        attribute_block,
    )


def _data(contents: Contents, path: str, placed: _Placed, seed: int) -> Iterator[Piece]:
    """What the blocks of `path` hold."""
    entry = contents.tree[path]
    if type(entry) is File:
        pending = iter(placed.extents)
        for run, part in extents.held(entry.content, BLOCK):
            size, done = length(part), 0
            while done < run.blocks * BLOCK:
                extent = next(pending)
                yield extent.place, cut(part, done, min(extent.blocks * BLOCK, size - done))
                done += extent.blocks * BLOCK
    elif type(entry) is Directory:
        number, above = contents.numbers[path], contents.numbers[parent(path)]
        data = ext4dir.blocks(contents.leaves[path], number, above, seed)
        for extent in placed.extents:
            yield extent.place, data[extent.logical * BLOCK : (extent.logical + extent.blocks) * BLOCK]
    elif type(entry) is Symlink and placed.extents:
        yield placed.extents[0].place, raw(entry.target)


def _tables(layout: _Layout, inodes: Mapping[int, bytes]) -> Iterator[Piece]:
    """The inode tables, as far as they are used; unused inodes are zeros."""
    per_group, empty = layout.geometry.inodes_per_group, bytes(ext4layout.INODE)
    for group, place in enumerate(layout.groups.tables):
        first = group * per_group + 1
        last = min(first + per_group - 1, max(inodes))
        if first <= last:
            yield place, b"".join(inodes.get(number, empty) for number in range(first, last + 1))


def _journal(contents: Contents, placed: _Placed) -> tuple[bytes, bytes, Piece]:
    """The journal's inode, what the superblock keeps of it, and its first block: an empty journal (journal.rst)."""
    own = ext4inode.seed(contents.seed, JOURNAL_INODE)
    body, _ = ext4inode.tree(placed.extents, [], own)
    size = contents.journal * BLOCK
    mode = stat.S_IFREG | 0o600
    inode = Inode(mode, 0, 0, EPOCH, 1, size, contents.journal, ext4inode.EXTENTS, body)
    record = pack(">IIIIIIII12x4x16sI", 0xC03B3998, 4, 0, BLOCK, contents.journal, 1, 1, 0, contents.identity.bytes, 1)
    backup = body.ljust(60, b"\0") + pack("<II", size >> 32, size & MASK)
    return ext4inode.packed(inode, own), backup, (placed.extents[0].place, record)
