"""The data area of squashfs: the blocks of files, and fragment blocks that hold the ends of many.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.2 and 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import tee
from struct import pack
from typing import NamedTuple

from pipeline.tree import Content, Pack, Read, Sink, Slice, length, parent, split
from pipeline.writers.twins import identities

BLOCK_LOG = 17
BLOCK = 1 << BLOCK_LOG
"""128 KiB, as mksquashfs has it."""
RAW = 1 << 24
"""In the size of a block: it is stored as it is."""
NO_FRAGMENT = 0xFFFFFFFF
ZEROS = bytes(BLOCK)
PLAIN = b"\0"
"""Stands for a block that would become no smaller: nothing that was compressed is as short."""
SECTION = 3
"""Directories that make a path's section: `containers/services/sshd`."""
FULL = BLOCK // 4
"""Bytes from which a fragment block ends where a section does, so that what changes in one does not move the next."""


@dataclass(slots=True)
class Place:
    """Where a file's bytes are."""

    start: int = 0
    sizes: list[int] = field(default_factory=list)
    """Of its blocks, as stored; 0 is a hole."""
    fragment: int = NO_FRAGMENT
    offset: int = 0


Places = dict[str, Place]


class Block(NamedTuple):
    """What becomes a block: of the file that is at `place`, or (None) the ends of many."""

    content: Content
    place: Place | None

    @property
    def hole(self) -> bool:
        return self.place is not None and all(piece.blob is None for piece in self.content)


def write(contents: Mapping[str, Content], read: Read, out: Sink, make: Pack, origin: int) -> tuple[Places, bytes]:
    """Write every content of `contents`, none of which is empty, once. Where each of them is, and the fragment table.

    make: gives for blocks what `packed` makes of their bytes, in order. Places count from `origin` of `out`.
    """
    places: Places = {}
    fragments = []
    blocks, ahead = tee(_blocks(contents, places, read))
    made = make(block.content for block in ahead if not block.hole)
    for block in blocks:
        start = out.tell() - origin
        size, stored = (0, ()) if block.hole else _stored(block, next(made))
        out.extend(stored)
        if block.place is None:
            fragments.append(pack("<QII", start, size, 0))
            continue
        block.place.sizes.append(size)
        if size and not block.place.start:
            block.place.start = start
    return places, b"".join(fragments)


def _stored(block: Block, piece: Slice) -> tuple[int, Content]:
    """The size of a block in its list, and its bytes, if `piece` is what it became."""
    if piece.length == len(PLAIN) or (not piece.length and block.place is None):
        return length(block.content) | RAW, block.content
    return piece.length, (piece,) if piece.length else ()


def packed(compress: Callable[[bytes], bytes], data: bytes) -> bytes:
    """A block as it is stored, or PLAIN; of BLOCK zeros nothing."""
    if data == ZEROS:
        return b""
    block = compress(data)
    return block if len(block) < len(data) else PLAIN


def _blocks(contents: Mapping[str, Content], places: Places, read: Read) -> Iterator[Block]:
    """The blocks of all files that differ, in order. `places` gets what will be said of each file."""
    known: dict[object, Place] = {}
    ends: list[Slice] = []
    filled = fragment = 0
    filling: list[str] = []
    for path, identity in identities(contents, read):
        if identity in known:
            places[path] = known[identity]
            continue
        place = known[identity] = places[path] = Place()
        section = parent(path).split("/", SECTION)[:SECTION]
        for piece in split(contents[path], BLOCK):
            size = length(piece)
            if size == BLOCK:
                yield Block(piece, place)
                continue
            if filled + size > BLOCK or (filled >= FULL and section != filling):
                yield Block(tuple(ends), None)
                fragment, filled, ends = fragment + 1, 0, []
            place.fragment, place.offset, filling = fragment, filled, section
            filled += size
            ends += piece
    if ends:
        yield Block(tuple(ends), None)
