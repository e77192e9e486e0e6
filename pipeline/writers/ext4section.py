"""A section of an ext4 file system, laid out: its inodes, and the blocks of its directories and files.

Source: kernel, Documentation/filesystems/ext4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from pipeline.model.tree import Content, Device, Directory, Entry, File, Sink, Slice, Symlink, cut, length, parent
from pipeline.ondisk.ext4 import EXTENTS_FL, INDEX_FL, LONGEST_EXTENT
from pipeline.writers import ext4dir, ext4inode, ext4tree, raw
from pipeline.writers.ext4inode import Extent, Inode
from pipeline.writers.ext4layout import BLOCK, Seeds, Space
from pipeline.writers.ext4tree import Contents
from pipeline.writers.extents import Run

Piece = tuple[int, bytes | Content]
"""Offset on the disk, in bytes, and the bytes there."""


class Placement(NamedTuple):
    """The location of content, and the blocks of its extent tree."""

    extents: Sequence[Extent] = ()
    nodes: Sequence[int] = ()
    blocks: int = 0
    """Number of blocks, of content and tree."""


_NOWHERE = Placement()


class SpaceRequest(NamedTuple):
    """The blocks that a section takes from a disk, in order."""

    blocks: int
    runs: list[list[Run]]
    """The runs of each file that is not contiguous."""

    def take(self, space: Space) -> None:
        space.take(self.blocks)
        for runs in self.runs:
            allocate(space, runs)


class _BlockMap(NamedTuple):
    firsts: dict[int, int]
    """inode -> the first block of contiguous content."""
    places: dict[int, Placement]
    """inode -> where everything else lies."""
    attributes: dict[int, int]
    """inode -> block of its attributes, if they do not fit into the inode."""


def space_request(contents: Contents) -> SpaceRequest:
    """Returns the blocks that `lay` takes."""
    return SpaceRequest(sum(_counts(contents).values()) + len(contents.attributes), list(contents.runs.values()))


def lay(contents: Contents, seeds: Seeds, space: Space, out: Sink) -> dict[str, Any]:
    """Lays a section out in `space` and write its blocks, all from the first to the last, and then its inodes.

    Returns {"inodes": [[number, how many follow it], …] and "directories": [number, …]}.
    """
    start = space.next * BLOCK
    block_map = _block_map(contents, space)
    numbers = sorted(contents.owners)
    first = dict(zip(numbers, ext4inode.seeds(seeds.checksums, numbers), strict=True))
    rows: dict[int, bytes] = {}
    pieces = [
        *_inodes(contents, block_map, first, rows),
        *_data(contents, block_map),
        *_directories(contents, block_map, first),
    ]
    for block, users in contents.attributes:
        place = block_map.attributes[users[0]]
        pieces.append((place * BLOCK, ext4inode.seal_attributes(block, len(users), place, seeds.checksums)))
    emit(sorted(pieces, key=itemgetter(0)), start, space.next * BLOCK, out)
    out.write(ext4inode.table([rows[number] for number in numbers], [first[number] for number in numbers]))
    return {"inodes": _group_numbers(numbers), "directories": [contents.numbers[path] for path in contents.leaves]}


def emit(pieces: Iterable[Piece], start: int, end: int, out: Sink) -> None:
    """Writes `pieces`, which are in order, and the holes between them, from the byte `start` to the byte `end`."""
    for kind, parts in groupby(_fill_holes(pieces, start, end), type):
        if kind is bytes:
            out.write(b"".join(parts))
        else:
            out.extend(tuple(chain.from_iterable(parts)))


def _fill_holes(pieces: Iterable[Piece], position: int, end: int) -> Iterator[Any]:
    for place, data in pieces:
        if position < place:
            yield (Slice(None, 0, place - position),)
        yield data
        position = place + (len(data) if isinstance(data, bytes) else length(data))
    if position < end:
        yield (Slice(None, 0, end - position),)


def _group_numbers(numbers: Sequence[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1][1] += 1
        else:
            found.append([number, 1])
    return found


def _block_map(contents: Contents, space: Space) -> _BlockMap:
    """Allocates blocks for attributes, directories, files, and content that is not contiguous."""
    attributes: dict[int, int] = {}
    for _, numbers in contents.attributes:
        attributes |= dict.fromkeys(numbers, space.take_whole(1))
    places, firsts = {}, {}
    for number, count in _counts(contents).items():
        if (first := space.take_piece(count)) is None:
            places[number] = allocate(space, [Run(0, count)])
        else:
            firsts[number] = first
    places |= {number: allocate(space, runs) for number, runs in contents.runs.items()}
    return _BlockMap(firsts, places, attributes)


def _counts(contents: Contents) -> dict[int, int]:
    """inode -> number of blocks of contiguous content."""
    return {number: -(-size // BLOCK) for number, size in contents.sizes.items()}


def allocate(space: Space, runs: Sequence[Run]) -> Placement:
    """Blocks for those `runs` of a file that hold something, and for its extent tree."""
    found, blocks = [], 0
    for first, end in runs:
        blocks += end - first
        logical = first
        for place, count in space.take(end - first):
            if count <= LONGEST_EXTENT:
                found.append(Extent(logical, place, count))
            else:
                for start in range(0, count, LONGEST_EXTENT):
                    found.append(Extent(logical + start, place + start, min(count - start, LONGEST_EXTENT)))
            logical += count
    if len(found) <= ext4inode.INLINE:
        return Placement(found, (), blocks)
    taken = space.take(ext4inode.node_count(len(found)))
    nodes = [block for place, count in taken for block in range(place, place + count)]
    return Placement(found, nodes, blocks + len(nodes))


def _inodes(
    contents: Contents, block_map: _BlockMap, seeds: Mapping[int, int], rows: dict[int, bytes]
) -> Iterator[Piece]:
    """The nodes of extent trees; `rows` gets the inodes."""
    for number, path in contents.owners.items():
        entry = contents.entries[path]
        if number in block_map.firsts and not entry.xattrs:  # as nearly all are
            links, size, first = contents.links[number], contents.sizes[number], block_map.firsts[number]
            rows[number] = _contiguous_inode(entry, links, size, first)
            continue
        where = _place(contents, block_map, number)
        body, nodes = ext4inode.tree(where.extents, where.nodes, seeds[number])
        inode = _inode(entry, contents.links[number], where, body, block_map.attributes.get(number, 0))
        rows[number] = ext4inode.pack_inode(inode)
        for place, node in nodes:
            yield place * BLOCK, node


def _place(contents: Contents, block_map: _BlockMap, number: int) -> Placement:
    """Returns the location of an inode's content."""
    if (first := block_map.firsts.get(number)) is None:
        return block_map.places.get(number, _NOWHERE)
    count = -(-contents.sizes[number] // BLOCK)
    return Placement([Extent(0, first, count)], (), count)


def _contiguous_inode(entry: Entry, links: int, size: int, first: int) -> bytes:
    """The inode of an `entry` without attributes whose `size` bytes lie in one piece."""
    flags = EXTENTS_FL
    if type(entry) is Directory and size > BLOCK:
        flags |= INDEX_FL
    return ext4inode.pack_contiguous(entry[:4], ext4tree.kinds(entry)[1], links, flags, size, first)


def _inode(entry: Entry, links: int, where: Placement, body: bytes, attribute_block: int) -> Inode:
    """The inode of `entry`; `body` is the root of its extent tree."""
    mode, uid, gid, mtime, xattrs, *_ = entry
    size, flags = 0, EXTENTS_FL
    if type(entry) is File:
        size = entry.size
    elif type(entry) is Directory:
        count = where.blocks - len(where.nodes)
        size, flags = count * BLOCK, flags | (INDEX_FL if count > 1 else 0)
    else:
        text = raw(entry.target) if type(entry) is Symlink else b""
        size = len(text)
        if not where.blocks:
            body, flags = ext4inode.device(entry.major, entry.minor) if type(entry) is Device else text, 0
    return Inode(
        mode & 0o7777 | ext4tree.kinds(entry)[1],
        uid,
        gid,
        mtime,
        links,
        size,
        where.blocks + bool(attribute_block),
        flags,
        body,
        b"" if attribute_block else ext4inode.inline_attributes(xattrs) or b"",
        attribute_block,
    )


def _data(contents: Contents, block_map: _BlockMap) -> Iterator[Piece]:
    """Yields the blocks of files and links."""
    for number, data in contents.data.items():
        if (first := block_map.firsts.get(number)) is not None:
            yield first * BLOCK, data
        else:
            assert not isinstance(data, bytes)  # a link has one block
            run = Run(0, -(-contents.sizes[number] // BLOCK))
            yield from _split_content([run], [data], block_map.places[number].extents)
    for number, parts in contents.parts.items():
        yield from _split_content(contents.runs[number], parts, block_map.places[number].extents)


def _split_content(runs: Sequence[Run], parts: Sequence[Content], places: Sequence[Extent]) -> Iterator[Piece]:
    """Yields the blocks of a file, at their `places`."""
    pending = iter(places)
    for run, part in zip(runs, parts, strict=True):
        size, done = length(part), 0
        while done < run.blocks * BLOCK:
            extent = next(pending)
            yield extent.place * BLOCK, cut(part, done, min(extent.blocks * BLOCK, size - done))
            done += extent.blocks * BLOCK


def _blocks(contents: Contents, block_map: _BlockMap, number: int) -> Sequence[int]:
    """The blocks of a directory."""
    if (first := block_map.firsts.get(number)) is not None:
        return range(first, first + contents.sizes[number] // BLOCK)
    return [block for _, first, count in block_map.places[number].extents for block in range(first, first + count)]


def _directories(contents: Contents, block_map: _BlockMap, seeds: Mapping[int, int]) -> Iterator[Piece]:
    """The blocks of all directories."""
    places: list[int] = []
    bodies: list[bytes] = []
    starts: list[int] = []
    for path, leaves in contents.leaves.items():
        number, above = contents.numbers[path], contents.number(parent(path))
        blocks = _blocks(contents, block_map, number)
        index = ext4dir.index(leaves, number, above, seeds[number])
        yield from zip((block * BLOCK for block in blocks), index, strict=False)
        places += (block * BLOCK for block in blocks[len(index) :])
        bodies += ext4dir.bodies(leaves, number, above)
        starts += [seeds[number]] * len(leaves)
    yield from zip(places, ext4dir.add_checksums(bodies, starts), strict=True)
