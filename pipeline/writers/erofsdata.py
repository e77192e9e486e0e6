"""The data area of erofs: the blocks of files, as they are (taken by reference) or compressed with LZ4.

Source: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of the kernel. A compressed file is a row of
extents, each cut into logical clusters of 4 KiB that an index behind the inode names one by one ("full" indexes); an
extent's compressed bytes fill a physical cluster of several blocks from its end backwards, behind zeros.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import pack

from pipeline.inorder import InOrder
from pipeline.tree import Content, Read, Sink, cut, length
from pipeline.writers.extents import held, words
from pipeline.writers.twins import identities

BLOCK_LOG = 12
BLOCK = 1 << BLOCK_LOG
PLAIN, COMPRESSED, INLINE, CHUNKS = 0, 1, 2, 4
"""Layouts of an inode's data: in blocks; in extents; in blocks, and its end behind the inode; in chunks with holes."""
NOWHERE = 0xFFFFFFFF
EXTENT = 128 << 10
"""Bytes that are compressed at a time, as in squashfs: what a random read decompresses at most."""
LARGEST_CLUSTER = EXTENT // BLOCK
"""Blocks of an extent's compressed bytes."""
MOST_CHUNKS = 1 << 16
"""Of one file: a larger one has larger chunks, so that their table stays small."""
HEAD, NONHEAD = 1, 2
"""Types of a logical cluster: an extent starts there, or goes on. What is PLAIN is not compressed."""
COUNT = 1 << 11
"""In the second cluster of an extent: the number says how many blocks the extent takes."""
MAP_HEADER = pack("<HHHBB8x", 0, 0, 2, 0, 0)
"""Clusters may be of several blocks (advice 2), their algorithm is LZ4 (0), a logical one is 4 KiB (0)."""


@dataclass
class Place:
    """Where a file's bytes are."""

    layout: int
    start: int = NOWHERE
    """Its first block; in CHUNKS, how large they are."""
    blocks: int = 0
    table: bytearray = field(default_factory=bytearray)
    """What stands behind the inode: of COMPRESSED, its index; of CHUNKS, where each of them is."""
    tail: Content = ()
    """The bytes that stand behind the inode: INLINE."""

    @property
    def value(self) -> int:
        """What the inode says of it."""
        return self.blocks if self.layout == COMPRESSED else self.start


class Data:
    """Writes the contents of files to `out`, whose next byte is at `origin` of the image."""

    def __init__(self, read: Read, out: Sink, origin: int, compress: Callable[[bytes], bytes] | None) -> None:
        self.shared = False
        """Whether two files have the same compressed clusters."""
        self._read, self._out, self._compress = read, out, compress
        self._base = origin - out.tell()

    def write(self, contents: Mapping[str, Content], room: Callable[[str], int]) -> dict[str, Place]:
        """Write each content of `contents` once, and say where it is. `room(path)`: bytes that fit behind its inode."""
        places = {path: Place(INLINE, tail=content) for path, content in contents.items()
                  if length(content) <= room(path)}  # fmt: skip
        large = {path: content for path, content in contents.items() if path not in places}
        known: dict[object, Place] = {}
        with InOrder(self._compress or bytes) as threads:
            for path, identity in identities(large, self._read):
                content = large[path]
                inline = 0 < length(content) % BLOCK <= room(path)
                key = (identity, inline)
                if key not in known:
                    known[key] = self._file(content, inline, threads)
                elif self._compress:
                    self.shared = True
                places[path] = known[key]
        self.shared = self.shared and any(place.layout == COMPRESSED for place in places.values())
        return places

    def _file(self, content: Content, inline: bool, threads: InOrder[bytes, bytes]) -> Place:
        size = length(content)
        holes = sum(piece.length for piece in content if piece.blob is None)
        if 2 * holes > size or (holes >= BLOCK and not self._compress):
            threads.drain()
            return self._chunks(content)
        if self._compress and size > BLOCK:
            return self._compressed(content, threads)
        threads.drain()
        place = Place(INLINE if inline else PLAIN, self._here(), size >> BLOCK_LOG)
        stored = place.blocks << BLOCK_LOG if inline else size
        place.tail = cut(content, stored, size - stored)
        self._extend(cut(content, 0, stored))
        return place

    def _here(self) -> int:
        """The block that is written next."""
        return (self._out.tell() + self._base) >> BLOCK_LOG

    def _extend(self, content: Content) -> None:
        """Take whole blocks by reference; the last is filled up."""
        self._out.extend(content)
        self._out.zeros(-length(content) % BLOCK)

    def _chunks(self, content: Content) -> Place:
        bits = max(BLOCK_LOG, (length(content) // MOST_CHUNKS).bit_length())
        table = array("I", [NOWHERE]) * -(-length(content) >> bits)
        for run, piece in held(content, 1 << bits):
            first, step = self._here(), 1 << bits - BLOCK_LOG
            table[run.first : run.end] = array("I", range(first, first + run.blocks * step, step))
            self._extend(piece)
        return Place(CHUNKS, bits - BLOCK_LOG, table=bytearray(words(table, "little")))

    def _compressed(self, content: Content, threads: InOrder[bytes, bytes]) -> Place:
        place = Place(PLAIN)
        at = 0
        for data in _extents(self._read(content)):
            threads.submit(data, self._taker(place, cut(content, at, len(data)), len(data)))
            at += len(data)
        return place

    def _taker(self, place: Place, content: Content, size: int) -> Callable[[bytes], None]:
        """What stores an extent once it is compressed: so, if that saves a block, else as it is."""

        def take(packed: bytes) -> None:
            here, blocks, plain = self._here(), -(-len(packed) // BLOCK), -(-size // BLOCK)
            if place.start == NOWHERE:
                place.start = here
            if blocks < plain:
                place.layout = COMPRESSED
                place.table += _index(here, blocks, size)
                self._out.write(packed.rjust(blocks << BLOCK_LOG, b"\0"))
            else:
                blocks = plain
                place.table += b"".join(pack("<HHI", 0, 0, here + number) for number in range(plain))
                self._extend(content)
            place.blocks += blocks

        return take


def _extents(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a file in pieces of EXTENT; the last is longer by up to a block, or shorter."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk if rest else chunk
        at = 0
        while len(data) - at >= EXTENT + BLOCK:
            yield data[at : at + EXTENT]
            at += EXTENT
        rest = data[at:]
    if rest:
        yield rest


def _index(start: int, blocks: int, size: int) -> bytes:
    """The clusters of a compressed extent of `size` bytes whose `blocks` stand from `start` on.

    Each that goes on says how far the extent's first one and the next extent's are; one that is not whole says where
    the extent ends in it.
    """
    count, rest = divmod(size, BLOCK)
    rows = [pack("<HHI", HEAD, 0, start)]
    for back in range(1, count):
        rows.append(pack("<HHHH", NONHEAD, 0, COUNT | blocks if back == 1 else back, count - back))
    if rest:
        rows.append(pack("<HHI", PLAIN, rest, 0))
    return b"".join(rows)
