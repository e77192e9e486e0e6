"""The data area of squashfs: the blocks of files, and fragment blocks that hold the ends of many.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.2 and 3.5.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import tee
from typing import NamedTuple

from pipeline.model.tree import Compress, Content, Read, Sink, Slice, Transform, length, parent, split
from pipeline.ondisk.squashfs import FRAGMENT, INVALID, UNCOMPRESSED
from pipeline.writers.dedup import identities

BLOCK_LOG = 17
BLOCK = 1 << BLOCK_LOG
"""128 KiB, as mksquashfs has it."""
ZEROS = bytes(BLOCK)
PLAIN = b"\0"
"""Marks a block that would not become smaller: no compressed block is as short."""
SECTION = 3
"""Directories that make a path's section: `containers/services/sshd`."""
FULL = BLOCK // 4
"""Bytes from which a fragment block ends at the end of a section, so that a change in one does not move the next."""


@dataclass(slots=True)
class BlockList:
    """The location of a file's bytes."""

    start: int = 0
    sizes: list[int] = field(default_factory=list)
    """Stored sizes of its blocks; 0 is a hole."""
    fragment: int = INVALID
    offset: int = 0


class Block(NamedTuple):
    """The content of a block of the file at `place`; or (None) of a fragment block."""

    content: Content
    place: BlockList | None

    @property
    def hole(self) -> bool:
        return self.place is not None and all(piece.blob is None for piece in self.content)


def write(
    contents: Mapping[str, Content], read: Read, out: Sink, make: Compress, origin: int, fragments: bytearray
) -> Generator[BlockList]:
    """Writes every content of `contents`, none of which is empty, once. Yields the location of each as soon as it is
    known.

    make: compresses blocks with `compress_blocks`, in order. Places count from `origin` of `out`. Entries of the
    fragment table are appended to `fragments`; it is complete at the end.
    """
    found, ahead = tee(_blocks(contents, read))
    pieces = make(each.content for each in ahead if isinstance(each, Block) and not each.hole)
    for each in found:
        if isinstance(each, BlockList):
            yield each
            continue
        start = out.tell() - origin
        size, stored = (0, ()) if each.hole else _store(each, next(pieces))
        out.extend(stored)
        if each.place is None:
            fragments += FRAGMENT.struct.pack(start, size, 0)
            continue
        each.place.sizes.append(size)
        if size and not each.place.start:
            each.place.start = start


def _store(block: Block, piece: Slice) -> tuple[int, Content]:
    """Returns the size of a block in its list, and its bytes. piece: the compressed block."""
    if piece.length == len(PLAIN) or (not piece.length and block.place is None):
        return length(block.content) | UNCOMPRESSED, block.content
    return piece.length, (piece,) if piece.length else ()


def compress_blocks(compress: Transform, raw: Sequence[bytes]) -> list[bytes | memoryview]:
    """Blocks as they are stored, each, or PLAIN; of BLOCK zeros nothing."""
    results = iter(compress([data for data in raw if data != ZEROS]))
    blocks = [b"" if data == ZEROS else next(results) for data in raw]
    return [block if len(block) < len(data) else PLAIN for block, data in zip(blocks, raw, strict=True)]


def _blocks(contents: Mapping[str, Content], read: Read) -> Iterator[Block | BlockList]:
    """Yields the blocks of all different files, in order, and each file's location after its blocks."""
    known: dict[object, BlockList] = {}
    ends: list[Slice] = []
    filled = fragment = 0
    filling = ""
    for path, identity in identities(contents, read):
        if identity in known:
            yield known[identity]
            continue
        place = known[identity] = BlockList()
        for piece in split(contents[path], BLOCK):
            size = length(piece)
            if size == BLOCK:
                yield Block(piece, place)
                continue
            if filled + size > BLOCK or (filled >= FULL and _section(path) != _section(filling)):
                yield Block(tuple(ends), None)
                fragment, filled, ends = fragment + 1, 0, []
            place.fragment, place.offset, filling = fragment, filled, path
            filled += size
            ends += piece
        yield place
    if ends:
        yield Block(tuple(ends), None)


def _section(path: str) -> list[str]:
    return parent(path).split("/", SECTION)[:SECTION]
