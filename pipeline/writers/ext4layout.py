"""The layout of an ext4 file system: groups with their descriptors and bitmaps, the superblock, allocation of blocks.

All groups' bitmaps and inode tables are at the start of the disk (flex_bg). Everything else follows them in order,
interrupted only by copies of the superblock and of the descriptors in some later groups.

Source: kernel, Documentation/filesystems/ext4/{super,group_descr,bitmaps,blockgroup}.rst.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from pipeline.model.tree import EPOCH
from pipeline.ondisk import ext4 as ondisk
from pipeline.ondisk.ext4 import GROUP, SUPERBLOCK
from pipeline.writers.crc32c import crc32c

BLOCK = 4096
MOST_BLOCKS = 1 << 32
"""Maximum number of blocks of a file system: 16 TiB. Numbers have 48 bits (ifork.rst, ee_start_hi), but a directory of
all groups' descriptors in front of each copy of the superblock is not meant for more (blockgroup.rst, "Meta Block
Groups"), and inodes are counted with 32 bits (super.rst, s_inodes_count)."""
PER_GROUP = 8 * BLOCK
"""Blocks of a group, and its maximum number of inodes: the bits of a block."""
INODE, EXTRA = 256, ondisk.INODE.size - ondisk.SMALL_INODE
"""Bytes of an inode, and of its fields from i_extra_isize on; attributes follow them."""
MASK = 0xFFFFFFFF
COMPATIBLE = ondisk.EXT_ATTR | ondisk.DIR_INDEX
INCOMPATIBLE = ondisk.FILETYPE | ondisk.EXTENTS | ondisk.IS_64BIT | ondisk.FLEX_BG | ondisk.CSUM_SEED
READ_ONLY_COMPATIBLE = ondisk.SPARSE_SUPER | ondisk.LARGE_FILE | ondisk.HUGE_FILE
READ_ONLY_COMPATIBLE |= ondisk.DIR_NLINK | ondisk.EXTRA_ISIZE | ondisk.METADATA_CSUM
UNSIGNED_HASH = 2
"""Flag of a superblock: hashes take the characters of names as unsigned."""
USER_XATTR, ACL = 0x4, 0x8
"""Default mount options."""


class Allocation(NamedTuple):
    first: int
    blocks: int


class Ext4Geometry(NamedTuple):
    blocks: int
    inodes_per_group: int

    @property
    def groups(self) -> int:
        return -(-self.blocks // PER_GROUP)

    @property
    def head(self) -> int:
        """Blocks of a superblock and the descriptors after it."""
        return 1 + -(-self.groups * GROUP.size // BLOCK)

    @property
    def table(self) -> int:
        """Blocks of one group's inode table."""
        return -(-self.inodes_per_group * INODE // BLOCK)

    def size(self, group: int) -> int:
        """Blocks of a group: the last one may be short."""
        return min(PER_GROUP, self.blocks - group * PER_GROUP)


def geometry(blocks: int, inodes: int) -> Ext4Geometry:
    """The geometry with room for so many inodes; the groups share them, and fill whole blocks of their tables."""
    groups = max(1, -(-blocks // PER_GROUP))
    return Ext4Geometry(blocks, -(-inodes // (groups * BLOCK // INODE)) * (BLOCK // INODE))


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
        """The first free block, unless it belongs to a copy."""
        self._start, self._end = first, COPIES[bisect_left(COPIES, first, key=_first)] * PER_GROUP
        """The range that is being allocated: between two copies."""
        self._full: list[Allocation] = []

    @property
    def used(self) -> list[Allocation]:
        return [*self._full, Allocation(self._start, self.next - self._start)]

    def take(self, count: int) -> list[Allocation]:
        """`count` blocks, in as many runs as the copies cut them into."""
        runs = []
        while count:
            if self.next == self._end:
                self._skip()
            here = min(count, self._end - self.next)
            runs.append(Allocation(self.next, here))
            self.next += here
            count -= here
        return runs

    def take_piece(self, count: int) -> int | None:
        """Allocates `count` contiguous blocks right after the last ones, and returns the first; None if a copy
        interrupts them."""
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
        """Skips the rest up to the next copy, and the copy."""
        if self._start < self.next:
            self._full.append(Allocation(self._start, self.next - self._start))
        index = bisect_right(COPIES, self._end, key=_first)
        self.next = self._start = COPIES[index - 1] * PER_GROUP + self._head
        self._end = COPIES[index] * PER_GROUP


class Groups(NamedTuple):
    """The block of each group's block bitmap and inode bitmap, and the first of its inode table."""

    bitmaps: list[int]
    inode_bitmaps: list[int]
    tables: list[int]


def groups(geometry: Ext4Geometry, space: Space) -> Groups:
    count = geometry.groups
    singles = [block for run in space.take(2 * count) for block in range(run.first, run.first + run.blocks)]
    return Groups(singles[:count], singles[count:], [space.take_whole(geometry.table) for _ in range(count)])


class Seeds(NamedTuple):
    """Start values of name hashes and checksums. All trees have the same: else one entry would change them all."""

    names: bytes
    checksums: int


class Superblock(NamedTuple):
    """The fields of a superblock that do not follow from the geometry."""

    identity: UUID
    seeds: Seeds
    label: bytes
    free_blocks: int = 0
    free_inodes: int = 0
    journal: bytes = b""
    """Body (60 bytes) and size (high and low word) of the journal's inode."""

    def pack(self, geometry: Ext4Geometry, group: int) -> bytes:
        """The 1024 bytes of the copy in `group`."""
        journal, blocks, per_group = bool(self.journal), geometry.blocks, geometry.inodes_per_group
        data = bytearray(SUPERBLOCK.pack(
            s_inodes_count=per_group * geometry.groups, s_blocks_count_lo=blocks & MASK, s_blocks_count_hi=blocks >> 32,
            s_free_blocks_count_lo=self.free_blocks & MASK, s_free_blocks_count_hi=self.free_blocks >> 32,
            s_free_inodes_count=self.free_inodes, s_log_block_size=2, s_log_cluster_size=2,
            s_blocks_per_group=PER_GROUP, s_clusters_per_group=PER_GROUP, s_inodes_per_group=per_group,
            s_log_groups_per_flex=4, s_desc_size=GROUP.size, s_inode_size=INODE, s_block_group_nr=group,
            s_min_extra_isize=EXTRA, s_want_extra_isize=EXTRA, s_wtime=EPOCH, s_lastcheck=EPOCH, s_mkfs_time=EPOCH,
            s_feature_compat=COMPATIBLE | ondisk.HAS_JOURNAL * journal, s_feature_incompat=INCOMPATIBLE,
            s_feature_ro_compat=READ_ONLY_COMPATIBLE, s_default_mount_opts=USER_XATTR | ACL, s_flags=UNSIGNED_HASH,
            s_uuid=self.identity.bytes, s_volume_name=self.label, s_hash_seed=self.seeds.names,
            s_def_hash_version=ondisk.HALF_MD4, s_checksum_seed=self.seeds.checksums,
            s_journal_inum=ondisk.JOURNAL_INODE * journal, s_jnl_backup_type=journal, s_jnl_blocks=self.journal,
        ))  # fmt: skip
        SUPERBLOCK.patch(data, s_checksum=crc32c(MASK, data[: SUPERBLOCK.offset["s_checksum"]]))
        return bytes(data)


def descriptors(
    geometry: Ext4Geometry,
    places: Groups,
    used: Sequence[Allocation],
    inodes: int,
    directories: Iterable[int],
    seed: int,
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
        flags, checksums = ondisk.INODE_ZEROED, [0, 0]
        if 0 < group < geometry.groups - 1 and bits == _head_bits(geometry, group):
            flags |= ondisk.BLOCK_UNINIT
        else:
            bitmap = _bitmap(bits, geometry.size(group))
            checksums[0] = crc32c(seed, bitmap)
            bitmaps.append((places.bitmaps[group], bitmap))
        if used_inodes:
            bitmap = _bitmap((1 << used_inodes) - 1, per_group)
            checksums[1] = crc32c(seed, bitmap[: per_group // 8])
            bitmaps.append((places.inode_bitmaps[group], bitmap))
        else:
            flags |= ondisk.INODE_UNINIT
        blocks = (places.bitmaps[group], places.inode_bitmaps[group], places.tables[group])
        counts = (free_blocks, per_group - used_inodes, folders[group])
        rows.append(_descriptor(blocks, counts, flags, checksums, crc32c(seed, group.to_bytes(4, "little"))))
        free += free_blocks
    return b"".join(rows), bitmaps, free


def _descriptor(blocks: Sequence[int], counts: Sequence[int], flags: int, checksums: Sequence[int], seed: int) -> bytes:
    """Returns a descriptor. counts: free blocks, free inodes (all after the used ones), directories."""
    fields: dict[str, int] = {}
    for name, block in zip(("block_bitmap", "inode_bitmap", "inode_table"), blocks, strict=True):
        fields |= {f"bg_{name}_lo": block & MASK, f"bg_{name}_hi": block >> 32}
    for name, checksum in zip(("block", "inode"), checksums, strict=True):
        fields |= {f"bg_{name}_bitmap_csum_lo": checksum & 0xFFFF, f"bg_{name}_bitmap_csum_hi": checksum >> 16}
    data = bytearray(GROUP.pack(
        bg_free_blocks_count_lo=counts[0], bg_free_inodes_count_lo=counts[1], bg_itable_unused_lo=counts[1],
        bg_used_dirs_count_lo=counts[2], bg_flags=flags, **fields,
    ))  # fmt: skip
    GROUP.patch(data, bg_checksum=crc32c(seed, data) & 0xFFFF)
    return bytes(data)


def _bits(geometry: Ext4Geometry, used: Sequence[Allocation]) -> list[int]:
    """The used blocks of each group, as the bits of a number."""
    bits = [_head_bits(geometry, group) for group in range(geometry.groups)]
    for first, count in used:
        while count:
            group, start = divmod(first, PER_GROUP)
            here = min(count, PER_GROUP - start)
            bits[group] |= ((1 << here) - 1) << start
            first, count = first + here, count - here
    return bits


def _head_bits(geometry: Ext4Geometry, group: int) -> int:
    """A copy of the superblock, if the group has one."""
    return (1 << geometry.head) - 1 if group in COPIES else 0


def _bitmap(bits: int, size: int) -> bytes:
    """Returns a block of bits; those after the `size` valid ones are set."""
    return (bits | (1 << PER_GROUP) - (1 << size)).to_bytes(BLOCK, "little")
