"""The data area of erofs: blocks of files, uncompressed (taken by reference) or compressed with LZ4.

Source: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of the kernel. A compressed file is a list of
extents. Each is cut into logical clusters of 4 KiB, which an index after the inode lists one by one ("full" indexes).
The compressed bytes of an extent end at the end of a physical cluster of several blocks; zeros fill its start.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.model.tree import Compress, Content, Read, Sink, Slice, cut, length
from pipeline.ondisk import erofs as ondisk
from pipeline.writers import FormatError
from pipeline.writers.dedup import identities
from pipeline.writers.extents import allocated, to_bytes

BLOCK_LOG = 12
BLOCK = 1 << BLOCK_LOG
EXTENT = 128 << 10
"""Bytes that are compressed at a time, as in squashfs: the maximum that a random read decompresses."""
LARGEST_CLUSTER = EXTENT // BLOCK
"""Blocks of an extent's compressed bytes."""
MOST_BLOCKS = (1 << 32) - 1
"""Maximum number of blocks of a file system, and of a file: 16 TiB (erofs_fs.h: blocks, startblk_lo and blkaddr have 32
bits; all ones mark a hole)."""
MOST_CHUNKS = 1 << 16
"""Maximum number of chunks of a file. A larger file has larger chunks, so that their table stays small."""
MAP_HEADER = ondisk.MAP_HEADER.pack(h_advise=ondisk.BIG_PCLUSTER_1, h_algorithmtype=ondisk.LZ4).ljust(
    ondisk.FULL_INDEX, b"\0"
)
"""Physical clusters may be of several blocks; a logical one is a block."""


@dataclass
class DataLayout:
    """The location of a file's bytes."""

    layout: int
    start: int = ondisk.NULL_ADDR
    """Its first block; in CHUNK_BASED, how large they are."""
    blocks: int = 0
    table: bytearray = field(default_factory=bytearray)
    """Bytes stored after the inode: the index of COMPRESSED_FULL, the places of CHUNK_BASED."""
    tail: Content = ()
    """Content that is stored after the inode: FLAT_INLINE."""

    @property
    def value(self) -> int:
        """The field i_u of the inode."""
        return self.blocks if self.layout == ondisk.COMPRESSED_FULL else self.start


class Data:
    """Writes the contents of files to `out`, whose next byte is at `origin` of the image.

    pack: compresses extents with `compress_extent`, in order; None to compress nothing.
    """

    def __init__(self, read: Read, out: Sink, origin: int, pack: Compress | None) -> None:
        self.shared = False
        """True if two files have the same compressed clusters."""
        self._read, self._out, self._pack = read, out, pack
        self._base = origin - out.tell()

    def write(self, contents: Mapping[str, Content], room: Callable[[str], int]) -> dict[str, DataLayout]:
        """Writes each content of `contents` once, and returns its layout. `room(path)`: bytes that fit after its
        inode."""
        places = {path: DataLayout(ondisk.FLAT_INLINE, tail=content) for path, content in contents.items()
                  if length(content) <= room(path)}  # fmt: skip
        large = {path: content for path, content in contents.items() if path not in places}
        keys: dict[str, tuple[object, bool]] = {}
        files: dict[tuple[object, bool], Content] = {}
        for path, identity in identities(large, self._read):
            keys[path] = key = identity, 0 < length(large[path]) % BLOCK <= room(path)
            files.setdefault(key, large[path])
        compressed = self._compress(files.values())
        known = {key: self._file(content, key[1], compressed) for key, content in files.items()}
        places |= {path: known[key] for path, key in keys.items()}
        twins = self._pack is not None and len(files) < len(keys)
        self.shared = twins and any(place.layout == ondisk.COMPRESSED_FULL for place in places.values())
        return places

    def _compress(self, files: Iterable[Content]) -> Iterator[Slice]:
        """Compresses the extents of those of `files` that are worth it, in order."""
        if self._pack is None:
            return iter(())
        return self._pack(extent for content in files if _compresses(content) for extent in _extents(content))

    def _file(self, content: Content, inline: bool, compressed: Iterator[Slice]) -> DataLayout:
        size, holes = length(content), _holes(content)
        if self._pack and _compresses(content):
            return self._compressed(content, compressed)
        if 2 * holes > size or (holes >= BLOCK and not self._pack):
            return self._chunks(content)
        layout = ondisk.FLAT_INLINE if inline else ondisk.FLAT_PLAIN
        place = DataLayout(layout, self._take(-(-size >> BLOCK_LOG)), size >> BLOCK_LOG)
        stored = place.blocks << BLOCK_LOG if inline else size
        place.tail = cut(content, stored, size - stored)
        self._extend(cut(content, 0, stored))
        return place

    def _here(self) -> int:
        """The block that is written next."""
        return (self._out.tell() + self._base) >> BLOCK_LOG

    def _take(self, blocks: int) -> int:
        """The block that is written next, where `blocks` have room from it on."""
        return check_blocks(self._here(), blocks)

    def _extend(self, content: Content) -> None:
        """Takes whole blocks by reference; the last is filled up."""
        self._out.extend(content)
        self._out.zeros(-length(content) % BLOCK)

    def _chunks(self, content: Content) -> DataLayout:
        bits = max(BLOCK_LOG, (length(content) // MOST_CHUNKS).bit_length())
        table = array("I", [ondisk.NULL_ADDR]) * -(-length(content) >> bits)
        for run, piece in allocated(content, 1 << bits):
            step = 1 << bits - BLOCK_LOG
            first = self._take(run.blocks * step)
            table[run.first : run.end] = array("I", range(first, first + run.blocks * step, step))
            self._extend(piece)
        return DataLayout(ondisk.CHUNK_BASED, bits - BLOCK_LOG, table=bytearray(to_bytes(table, "little")))

    def _compressed(self, content: Content, compressed: Iterator[Slice]) -> DataLayout:
        place = DataLayout(ondisk.FLAT_PLAIN, self._here())
        for extent, clusters in zip(_extents(content), compressed, strict=False):
            blocks = clusters.length >> BLOCK_LOG
            here = self._take(blocks or -(-length(extent) // BLOCK))
            if blocks:
                place.layout = ondisk.COMPRESSED_FULL
                place.table += _index(here, blocks, length(extent))
                self._out.extend((clusters,))
            else:
                blocks = -(-length(extent) // BLOCK)
                place.table += b"".join(_cluster(ondisk.PLAIN, 0, here + number) for number in range(blocks))
                self._extend(extent)
            place.blocks += blocks
        return place


_cluster = ondisk.LCLUSTER.struct.pack


def check_blocks(first: int, blocks: int) -> int:
    """`first`, where a file system may have `blocks` from that one on."""
    if first + blocks > MOST_BLOCKS:
        room = f"erofs has room for {MOST_BLOCKS * BLOCK}"
        raise FormatError(f"a file system of {(first + blocks) * BLOCK} bytes or more; {room}: make the node smaller")
    return first


def compress_extent(compress: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Returns an extent as it is stored: an LZ4 block in whole blocks, after zeros; b"" if that would not save a block.

    compress: returns the LZ4 block, without a size in front.
    """
    block = compress(data)
    blocks = -(-len(block) // BLOCK)
    return block.rjust(blocks << BLOCK_LOG, b"\0") if blocks < -(-len(data) // BLOCK) else b""


def _holes(content: Content) -> int:
    return sum(piece.length for piece in content if piece.blob is None)


def _compresses(content: Content) -> bool:
    """True for a file that is worth compressing: larger than a block, and at most half of it holes."""
    size = length(content)
    return size > BLOCK and 2 * _holes(content) <= size


def _extents(content: Content) -> Iterator[Content]:
    """A file in pieces of EXTENT; the last is longer by up to a block, or shorter."""
    size, at = length(content), 0
    while size - at >= EXTENT + BLOCK:
        yield cut(content, at, EXTENT)
        at += EXTENT
    if at < size:
        yield cut(content, at, size - at)


def _index(start: int, blocks: int, size: int) -> bytes:
    """Returns the index of a compressed extent of `size` bytes, stored in `blocks` from `start` on.

    A cluster that continues has the distances to the extent's first one and to the next extent's. A partial one has the
    offset of the extent's end.
    """
    count, rest = divmod(size, BLOCK)
    rows = [_cluster(ondisk.HEAD, 0, start)]
    for back in range(1, count):
        distance = ondisk.CBLKCNT | blocks if back == 1 else back
        rows.append(_cluster(ondisk.NONHEAD, 0, distance | count - back << 16))
    if rest:
        rows.append(_cluster(ondisk.PLAIN, rest, 0))
    return b"".join(rows)
