"""Where things lie in an ext4 file system, and what says so: groups, their descriptors and bitmaps, the superblock.

All groups' bitmaps and inode tables lie at the start of the disk (flex_bg), everything else behind them, in order; only
the copies of the superblock and of the descriptors in some later groups interrupt it.

Source: kernel, Documentation/filesystems/ext4/{super,group_descr,bitmaps,blockgroup}.rst.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from struct import pack, pack_into
from typing import NamedTuple
from uuid import UUID

from pipeline.model.tree import EPOCH
from pipeline.writers.crc32c import crc32c

BLOCK = 4096
MOST_BLOCKS = 1 << 32
"""Maximum number of blocks of a file system: 16 TiB. Numbers have 48 bits (ifork.rst, ee_start_hi), but a directory of
all groups' descriptors in front of each copy of the superblock is not meant for more (blockgroup.rst, "Meta Block
Groups"), and inodes are counted with 32 bits (super.rst, s_inodes_count)."""
PER_GROUP = 8 * BLOCK
"""Blocks of a group, and the most inodes: what one block of bits can tell."""
INODE = 256
DESCRIPTOR = 64
FIRST_INODE = 11
"""Of those that are no file system's own; lost+found has it."""
JOURNAL_INODE = 8
MASK = 0xFFFFFFFF
INODE_UNUSED, BLOCK_UNUSED, TABLE_ZEROED = 1, 2, 4
"""Flags of a group: its bitmaps are not there, because they follow; its inode table is all zeros where it is unused."""
SEED = 0x270
"""Where in the superblock the number is that checksums start with."""
HAS_JOURNAL = 0x4
COMPATIBLE = 0x8 | 0x20
"""Attributes; hashed directories."""
INCOMPATIBLE = 0x2 | 0x40 | 0x80 | 0x200 | 0x2000
"""Types in directories; extents; 64 bits; bitmaps and tables anywhere; checksums start with a number of their own."""
READ_ONLY_COMPATIBLE = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400
"""Few copies of the superblock; files of 2 GiB, of 2 TiB; many subdirectories; large inodes; checksums."""


class Run(NamedTuple):
    first: int
    blocks: int


class Geometry(NamedTuple):
    blocks: int
    inodes_per_group: int

    @property
    def groups(self) -> int:
        return -(-self.blocks // PER_GROUP)

    @property
    def head(self) -> int:
        """Blocks of a superblock and the descriptors behind it."""
        return 1 + -(-self.groups * DESCRIPTOR // BLOCK)

    @property
    def table(self) -> int:
        """Blocks of one group's inode table."""
        return -(-self.inodes_per_group * INODE // BLOCK)

    def size(self, group: int) -> int:
        """Blocks of a group: the last one may be short."""
        return min(PER_GROUP, self.blocks - group * PER_GROUP)


def geometry(blocks: int, inodes: int) -> Geometry:
    """The geometry with room for so many inodes; the groups share them, and fill whole blocks of their tables."""
    groups = max(1, -(-blocks // PER_GROUP))
    return Geometry(blocks, -(-inodes // (groups * BLOCK // INODE)) * (BLOCK // INODE))


COPIES = tuple(sorted({0, 1} | {base**power for base in (3, 5, 7) for power in range(1, 12)}))
"""Groups that start with a superblock and all descriptors (sparse_super)."""


def _first(group: int) -> int:
    """The first block of a group."""
    return group * PER_GROUP


class Space:
    """The blocks of a disk from `first` on, handed out in order, without those of the superblock's copies."""

    def __init__(self, head: int, first: int = 0) -> None:
        self._head = head
        self.next = first
        """The first block that nobody has yet, unless it belongs to a copy."""
        self._start, self._end = first, COPIES[bisect_left(COPIES, first, key=_first)] * PER_GROUP
        """What is handed out now: from behind a copy up to the next one."""
        self._full: list[Run] = []

    @property
    def used(self) -> list[Run]:
        return [*self._full, Run(self._start, self.next - self._start)]

    def take(self, count: int) -> list[Run]:
        """`count` blocks, in as many runs as the copies cut them into."""
        runs = []
        while count:
            if self.next == self._end:
                self._skip()
            here = min(count, self._end - self.next)
            runs.append(Run(self.next, here))
            self.next += here
            count -= here
        return runs

    def take_piece(self, count: int) -> int | None:
        """The first of `count` blocks in one piece, right behind what was taken last; None if a copy cuts them."""
        if self._end - self.next < count:
            return None
        self.next += count
        return self.next - count

    def take_whole(self, count: int) -> int:
        """The first of `count` blocks that lie in one piece; fewer than a group has."""
        if self._end - self.next < count:
            self._skip()
        self.next += count
        return self.next - count

    def _skip(self) -> None:
        """Leave what is left up to the next copy, and go on behind it."""
        if self._start < self.next:
            self._full.append(Run(self._start, self.next - self._start))
        index = bisect_right(COPIES, self._end, key=_first)
        self.next = self._start = COPIES[index - 1] * PER_GROUP + self._head
        self._end = COPIES[index] * PER_GROUP


class Groups(NamedTuple):
    """The block of each group's block bitmap and inode bitmap, and the first of its inode table."""

    bitmaps: list[int]
    inode_bitmaps: list[int]
    tables: list[int]


def groups(geometry: Geometry, space: Space) -> Groups:
    count = geometry.groups
    singles = [block for run in space.take(2 * count) for block in range(run.first, run.first + run.blocks)]
    return Groups(singles[:count], singles[count:], [space.take_whole(geometry.table) for _ in range(count)])


class Seeds(NamedTuple):
    """What hashes of names and checksums start with: the same for all trees, or all would change with one entry."""

    names: bytes
    checksums: int


class Superblock(NamedTuple):
    """What a superblock says besides the geometry."""

    identity: UUID
    seeds: Seeds
    label: bytes
    free_blocks: int = 0
    free_inodes: int = 0
    journal: bytes = b""
    """Body (60 bytes) and size (high and low word) of the journal's inode."""

    def packed(self, geometry: Geometry, group: int) -> bytes:
        """The 1024 bytes of the copy in `group`."""
        g, per_group, journal = geometry, geometry.inodes_per_group, bool(self.journal)
        data = pack(
            "<IIIIIIIIIIIIIHHHHHHIIIIHHIHHIII16s16s64xIBBH16sIII16sBBHIII68s",
            per_group * g.groups, g.blocks & MASK, 0, self.free_blocks & MASK, self.free_inodes, 0, 2, 2, PER_GROUP,
            PER_GROUP, per_group, 0, EPOCH, 0, 0xFFFF, 0xEF53, 1, 1, 0, EPOCH, 0, 0, 1, 0, 0, FIRST_INODE, INODE, group,
            COMPATIBLE | HAS_JOURNAL * journal, INCOMPATIBLE, READ_ONLY_COMPATIBLE, self.identity.bytes, self.label,
            0, 0, 0, 0, b"", JOURNAL_INODE * journal, 0, 0, self.seeds.names, 1, journal, DESCRIPTOR, 0xC, 0, EPOCH,
            self.journal,
        )  # fmt: skip
        data += pack("<IIIHHI16xBB", g.blocks >> 32, 0, self.free_blocks >> 32, 32, 32, 2, 4, 1)
        data = (data.ljust(SEED, b"\0") + pack("<I", self.seeds.checksums)).ljust(1020, b"\0")
        return data + pack("<I", crc32c(MASK, data))


def descriptors(
    geometry: Geometry, places: Groups, used: Sequence[Run], inodes: int, directories: Iterable[int], seed: int
) -> tuple[bytes, list[tuple[int, bytes]], int]:
    """The groups' descriptors, their bitmaps (block, bytes) and the number of free blocks.

    inodes: the last that is in use; all before it are. seed: of the file system's checksums.
    """
    taken = _bits(geometry, used)
    per_group = geometry.inodes_per_group
    folders = [0] * geometry.groups
    for number in directories:
        folders[(number - 1) // per_group] += 1
    rows, bitmaps, free = [], [], 0
    for group, bits in enumerate(taken):
        free_blocks = geometry.size(group) - bits.bit_count()
        used_inodes = min(max(inodes - group * per_group, 0), per_group)
        flags, checksums = TABLE_ZEROED, [0, 0]
        if 0 < group < geometry.groups - 1 and bits == _head_bits(geometry, group):
            flags |= BLOCK_UNUSED
        else:
            bitmap = _bitmap(bits, geometry.size(group))
            checksums[0] = crc32c(seed, bitmap)
            bitmaps.append((places.bitmaps[group], bitmap))
        if used_inodes:
            bitmap = _bitmap((1 << used_inodes) - 1, per_group)
            checksums[1] = crc32c(seed, bitmap[: per_group // 8])
            bitmaps.append((places.inode_bitmaps[group], bitmap))
        else:
            flags |= INODE_UNUSED
        blocks = (places.bitmaps[group], places.inode_bitmaps[group], places.tables[group])
        counts = (free_blocks, per_group - used_inodes, folders[group], flags, per_group - used_inodes)
        rows.append(_descriptor(blocks, counts, checksums, crc32c(seed, pack("<I", group))))
        free += free_blocks
    return b"".join(rows), bitmaps, free


def _descriptor(blocks: Sequence[int], counts: Sequence[int], checksums: Sequence[int], seed: int) -> bytes:
    """counts: free blocks, free inodes, directories, flags, inodes behind the last used one."""
    low = pack("<III", *(block & MASK for block in blocks))
    high = pack("<III", *(block >> 32 for block in blocks))
    data = bytearray(low + pack(
        "<HHHHIHHHH12s12xHHI", *counts[:4], 0, checksums[0] & 0xFFFF, checksums[1] & 0xFFFF, counts[4], 0, high,
        checksums[0] >> 16, checksums[1] >> 16, 0,
    ))  # fmt: skip
    pack_into("<H", data, 30, crc32c(seed, data) & 0xFFFF)
    return bytes(data)


def _bits(geometry: Geometry, used: Sequence[Run]) -> list[int]:
    """The used blocks of each group, as the bits of a number."""
    bits = [_head_bits(geometry, group) for group in range(geometry.groups)]
    for first, count in used:
        while count:
            group, start = divmod(first, PER_GROUP)
            here = min(count, PER_GROUP - start)
            bits[group] |= ((1 << here) - 1) << start
            first, count = first + here, count - here
    return bits


def _head_bits(geometry: Geometry, group: int) -> int:
    """A copy of the superblock, if the group has one."""
    return (1 << geometry.head) - 1 if group in COPIES else 0


def _bitmap(bits: int, size: int) -> bytes:
    """A block of bits; those behind the `size` that count are set."""
    return (bits | (1 << PER_GROUP) - (1 << size)).to_bytes(BLOCK, "little")
