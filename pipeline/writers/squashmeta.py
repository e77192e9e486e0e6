"""Metadata blocks of squashfs, and the directory listings in them.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack

UNCOMPRESSED = 0x8000
MOST_ENTRIES = 256
"""Behind one header of a listing."""
MOST_DELTA = 32767
"""How far an inode's number may be from its header's."""
LONGEST_NAME = 256


class Metadata:
    """A table that is cut into blocks of 8 KiB, each compressed on its own."""

    SIZE = 8192

    def __init__(self, compress: Callable[[bytes], bytes]) -> None:
        self._compress = compress
        self._rest = bytearray()
        self._blocks: list[bytes] = []
        self._done = 0

    def place(self) -> tuple[int, int]:
        """Where the next byte will be: the start of its block in the finished table, and its offset in the block."""
        return self._done, len(self._rest)

    def write(self, data: bytes) -> tuple[int, int]:
        """Add `data`, and return where it starts."""
        place = self.place()
        self._rest += data
        while len(self._rest) >= self.SIZE:
            self._flush(bytes(self._rest[: self.SIZE]))
            del self._rest[: self.SIZE]
        return place

    def finish(self) -> bytes:
        """The whole table."""
        if self._rest:
            self._flush(bytes(self._rest))
            self._rest.clear()
        return b"".join(self._blocks)

    def _flush(self, data: bytes) -> None:
        packed = self._compress(data)
        block = pack("<H", len(packed)) + packed
        if len(packed) >= len(data):
            block = pack("<H", len(data) | UNCOMPRESSED) + data
        self._blocks.append(block)
        self._done += len(block)


Row = tuple[bytes, int, int, int]
"""Of a listing: name, reference of the inode, its number, its type."""


def listing(table: Metadata, rows: Sequence[Row]) -> tuple[tuple[int, int], int, list[bytes]]:
    """Write a directory's `rows` (in any order) to `table`: where it starts, its size, and its index.

    The index names the first entry of each metadata block but the first, so that a large directory is not read whole.
    """
    start = table.place()
    size = 0
    index = []
    ordered = sorted(rows)
    at = 0
    while at < len(ordered):
        block, offset = table.place()
        name, reference, base, _ = ordered[at]
        group = b""
        count = 0
        for name, inode, number, kind in ordered[at : at + MOST_ENTRIES]:
            far = inode >> 16 != reference >> 16 or not -MOST_DELTA <= number - base <= MOST_DELTA
            if far or (count and offset + 12 + len(group) >= Metadata.SIZE):
                break
            group += pack("<HhHH", inode & 0xFFFF, number - base, kind, len(name) - 1) + name
            count += 1
        if block != start[0]:
            first = ordered[at][0]
            index.append(pack("<III", size, block, len(first) - 1) + first)
        table.write(pack("<III", count - 1, reference >> 16, base) + group)
        size += 12 + len(group)
        at += count
    return start, size, index
