"""Metadata blocks of squashfs, and the directory listings in them.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

from pipeline.model.tree import Transform
from pipeline.ondisk import squashfs as ondisk
from pipeline.writers import FormatError

MOST_ENTRIES = 256
"""Maximum number of entries after one header of a listing."""
MOST_DELTA = 32767
"""Maximum difference of an inode's number from its header's."""
LARGEST_TABLE = (1 << 32) - 1
"""Last place of a metadata block in its table, in bytes (squashfs_fs.h: start_block has 32 bits)."""


class Metadata:
    """A table that is cut into blocks of 8 KiB, each compressed on its own."""

    def __init__(self, compress: Transform) -> None:
        self._compress = compress
        self._rest = bytearray()
        self._blocks: list[bytes] = []
        self._done = 0

    def place(self) -> int:
        """Returns a reference to the next byte: the start of its block in the finished table, and its offset in the low
        16 bits."""
        return self._done << 16 | len(self._rest)

    def write(self, data: bytes | bytearray) -> int:
        """Adds `data`, and return where it starts."""
        place = self._done << 16 | len(self._rest)  # as `place` says it
        self._rest += data
        while len(self._rest) >= ondisk.METADATA_SIZE:
            self._flush(bytes(self._rest[: ondisk.METADATA_SIZE]))
            del self._rest[: ondisk.METADATA_SIZE]
        return place

    def finish(self) -> bytes:
        """The whole table."""
        if self._rest:
            self._flush(bytes(self._rest))
            self._rest.clear()
        return b"".join(self._blocks)

    def _flush(self, data: bytes) -> None:
        if self._done > LARGEST_TABLE:
            room = f"squashfs has room for {LARGEST_TABLE} bytes of them"
            raise FormatError(f"too many files, names and links for one file system; {room}: make the node smaller")
        (packed,) = self._compress([data])
        block = pack("<H", len(packed)) + packed
        if len(packed) >= len(data):
            block = pack("<H", len(data) | ondisk.UNCOMPRESSED_METADATA) + data
        self._blocks.append(block)
        self._done += len(block)


Row = tuple[bytes, int, int, int]
"""An entry of a listing: name, reference of the inode, its number, its type."""


def listing(table: Metadata, rows: Sequence[Row]) -> tuple[int, int, list[bytes]]:
    """Writes a directory's `rows` (in any order) to `table`: where it starts, its size, and its index.

    The index names the first entry of each metadata block but the first, so that a large directory is not read whole.
    """
    start = table.place()
    size = at = 0
    index = []
    ordered = sorted(rows)
    while at < len(ordered):
        place = table.place()
        if place >> 16 != start >> 16:
            first = ordered[at][0]
            index.append(ondisk.DIR_INDEX.struct.pack(size, place >> 16, len(first) - 1) + first)
        count, group = _group(ordered[at : at + MOST_ENTRIES], ondisk.METADATA_SIZE - (place & 0xFFFF))
        table.write(group)
        size += len(group)
        at += count
    return start, size, index


def _group(rows: Sequence[Row], room: int) -> tuple[int, bytes]:
    """Groups the `rows` that fit one header: their number, and the bytes. room: bytes left in the metadata block; the
    last entry may exceed it."""
    _, reference, base, _ = rows[0]
    block, room, pack_entry = reference >> 16, room - ondisk.DIR_HEADER.size, ondisk.DIR_ENTRY.struct.pack
    entries, count = bytearray(), 0
    for name, reference, number, kind in rows:
        delta = number - base
        far = reference >> 16 != block or not -MOST_DELTA <= delta <= MOST_DELTA
        if far or (count and len(entries) >= room):
            break
        entries += pack_entry(reference & 0xFFFF, delta, kind, len(name) - 1)
        entries += name
        count += 1
    return count, ondisk.DIR_HEADER.struct.pack(count - 1, block, base) + entries
