"""Inodes of ext4, their extent trees, and their extended attributes.

Source: kernel, Documentation/filesystems/ext4/{inodes,ifork,attributes}.rst; fs/ext4/xattr.c for the hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct, iter_unpack, pack
from typing import NamedTuple

from pipeline.model.tree import Xattrs
from pipeline.ondisk import encode_device
from pipeline.ondisk import ext4 as ondisk
from pipeline.writers import FormatError, raw
from pipeline.writers.carried import Carried
from pipeline.writers.crc32c import crc32c, crc32c_each
from pipeline.writers.ext4layout import BLOCK, EXTRA, MASK
from pipeline.writers.ext4layout import INODE as SIZE

INLINE = 4
"""Extents that fit into the inode."""
PER_BLOCK = (BLOCK - 4) // ondisk.EXTENT.size - 1
XATTR_ROOM = SIZE - ondisk.INODE.size - 4
LARGEST_ATTRIBUTES = BLOCK - ondisk.XATTR_HEADER.size - 4
"""Maximum size of the extended attributes of a file, in bytes: one block without its head and the end of its list
(attributes.rst)."""
MOST_SHARED = 1024
"""Inodes that may refer to one block of attributes."""
EARLIEST, LATEST = -(1 << 31), (1 << 34) - (1 << 31) - 1
"""Earliest and latest time stamp, in seconds since 1970: 34 bits, 1901 to 2446. One outside is moved to the nearest
end."""
CARRIED = Carried("ext4", tuple(ondisk.PREFIXES), EARLIEST, LATEST, refuses=True)
CHECKSUM = [ondisk.INODE.offset[name] + byte for name in ("l_i_checksum_lo", "i_checksum_hi") for byte in range(2)]
"""Offsets of the bytes of an inode's checksum."""
_SIZE, _SECTORS = ondisk.INODE.offset["i_size_lo"], ondisk.INODE.offset["i_blocks_lo"]
_EXTENT = ondisk.INODE.offset["i_block"] + ondisk.EXTENT_HEADER.size + ondisk.EXTENT.offset["ee_len"]
_PLAIN = Struct(f"<{_SIZE}sI{_SECTORS - _SIZE - 4}sI{_EXTENT - _SECTORS - 4}sHHI").pack
"""An inode up to the end of its first extent, cut where files of equal metadata differ: size, sectors, the extent's
length and place."""


class Extent(NamedTuple):
    """`blocks` of the disk from `place` on; the file's block `logical` is the first."""

    logical: int
    place: int
    blocks: int


class Inode(NamedTuple):
    mode: int
    """With the type."""
    uid: int
    gid: int
    mtime: int
    links: int = 1
    size: int = 0
    blocks: int = 0
    """Blocks of the disk: content, extent tree and attributes."""
    flags: int = 0
    body: bytes = b""
    """60 bytes: extents, a device's number or a short link's target."""
    attributes: bytes = b""
    """Attributes in the inode, in the form that `inline_attributes` returns."""
    attribute_block: int = 0


def seeds(filesystem: int, numbers: Sequence[int]) -> list[int]:
    """Returns the start values of each inode's checksum. filesystem: that of the file system."""
    rows = [number.to_bytes(4, "little") for number in numbers]
    return crc32c_each([filesystem] * len(rows), rows, 8)


def pack_inode(inode: Inode) -> bytes:
    """The 256 bytes of an inode on the disk, without its checksum."""
    mode, uid, gid, mtime, links, size, blocks, flags, body, attributes, attribute_block = inode
    low, extra = _time(mtime)
    sectors = blocks * (BLOCK // 512)
    return ondisk.INODE.pack(
        i_mode=mode, i_links_count=links, i_flags=flags, i_block=body, i_extra_isize=EXTRA,
        i_uid=uid & 0xFFFF, l_i_uid_high=uid >> 16, i_gid=gid & 0xFFFF, l_i_gid_high=gid >> 16,
        i_size_lo=size & MASK, i_size_high=size >> 32, i_blocks_lo=sectors & MASK, l_i_blocks_high=sectors >> 32,
        i_file_acl_lo=attribute_block & MASK, l_i_file_acl_high=attribute_block >> 32,
        i_atime=low, i_ctime=low, i_mtime=low, i_crtime=low,
        i_atime_extra=extra, i_ctime_extra=extra, i_mtime_extra=extra, i_crtime_extra=extra,
    ) + attributes.ljust(SIZE - ondisk.INODE.size, b"\0")  # fmt: skip


def pack_contiguous(
    metadata: tuple[int, int, int, int], kind: int, links: int, flags: int, size: int, place: int
) -> bytes:
    """An inode without attributes, whose content is `size` bytes from the block `place` on, in a single extent.

    metadata: mode, owner and time as an entry of a tree starts with them; kind: the type in the mode.
    """
    start, middle, end, rest = _common_parts(metadata, kind, links, flags)
    blocks = -(-size // BLOCK)
    return _PLAIN(start, size, middle, blocks * (BLOCK // 512), end, blocks, place >> 32, place & MASK) + rest


@lru_cache(1024)
def _common_parts(
    metadata: tuple[int, int, int, int], kind: int, links: int, flags: int
) -> tuple[bytes, bytes, bytes, bytes]:
    """Returns the parts that `pack_contiguous` inodes share."""
    mode, uid, gid, mtime = metadata
    data = pack_inode(
        Inode(mode & 0o7777 | kind, uid, gid, mtime, links, 0, 0, flags, tree([Extent(0, 0, 0)], (), 0)[0])
    )
    return data[:_SIZE], data[_SIZE + 4 : _SECTORS], data[_SECTORS + 4 : _EXTENT], data[_EXTENT + 8 :]


def table(rows: Sequence[bytes], seeds: Sequence[int]) -> bytes:
    """Adds the checksums to inodes from `pack_inode` and `pack_contiguous`."""
    checksums = pack(f"<{len(rows)}I", *crc32c_each(seeds, rows, SIZE))
    result = bytearray(b"".join(rows))
    for byte, place in enumerate(CHECKSUM):
        result[place::SIZE] = checksums[byte::4]
    return bytes(result)


def device(major: int, minor: int) -> bytes:
    """The body of a device's inode: the old form where both numbers have 8 bits."""
    if major < 256 and minor < 256:
        return pack("<II", major << 8 | minor, 0)
    return pack("<II", 0, encode_device(major, minor))


def node_count(extents: int) -> int:
    """Blocks of the tree over so many extents."""
    total = 0
    while extents > INLINE:
        extents = -(-extents // PER_BLOCK)
        total += extents
    return total


def tree(extents: Sequence[Extent], places: Sequence[int], seed: int) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The body of the inode and the blocks (place, bytes) of the tree over `extents`. `places` are for the blocks."""
    rows = [ondisk.EXTENT.struct.pack(logical, blocks, place >> 32, place & MASK) for logical, place, blocks in extents]
    found: list[tuple[int, bytes]] = []
    if not places:
        return _node(rows, INLINE, 0), found
    firsts = [extent.logical for extent in extents]
    depth, free = 0, iter(places)
    while len(rows) > INLINE:
        parts = [rows[start : start + PER_BLOCK] for start in range(0, len(rows), PER_BLOCK)]
        firsts = firsts[::PER_BLOCK]
        here = [next(free) for _ in parts]
        for place, part in zip(here, parts, strict=True):
            block = _node(part, PER_BLOCK, depth).ljust(BLOCK - 4, b"\0")
            found.append((place, block + pack("<I", crc32c(seed, block))))
        rows = [
            ondisk.EXTENT_INDEX.pack(ei_block=first, ei_leaf_lo=at & MASK, ei_leaf_hi=at >> 32)
            for first, at in zip(firsts, here, strict=True)
        ]
        depth += 1
    return _node(rows, INLINE, depth), found


def inline_attributes(xattrs: Xattrs) -> bytes | None:
    """Returns the attributes as they are stored in an inode; None if they do not fit."""
    if not xattrs:
        return b""
    table = _table(xattrs, 0, XATTR_ROOM)
    return pack("<I", ondisk.XATTR_MAGIC) + table if table else table


def external_attributes(xattrs: Xattrs) -> bytes:
    """Returns the block of attributes without checksum and count of users, which `seal_attributes` adds.

    FormatError for more than LARGEST_ATTRIBUTES.
    """
    table = _table(xattrs, ondisk.XATTR_HEADER.size, BLOCK)
    if table is None:
        room = f"ext4 has room for {LARGEST_ATTRIBUTES}: leave some out, or take kernel+squashfs or kernel+erofs"
        raise FormatError(f"extended attributes of {_room(list(_hash_attributes(xattrs)))} bytes; {room}")
    total = 0
    for *_, value in _hash_attributes(xattrs):
        total = (total << 16 ^ total >> 16 ^ value) & MASK
    return ondisk.XATTR_HEADER.pack(h_hash=total) + table


def seal_attributes(block: bytes, users: int, place: int, filesystem: int) -> bytes:
    """The block of attributes `block` at its place on the disk, for so many inodes."""
    data = bytearray(block)
    ondisk.XATTR_HEADER.patch(data, h_refcount=users)
    ondisk.XATTR_HEADER.patch(data, h_checksum=crc32c(crc32c(filesystem, pack("<Q", place)), data))
    return bytes(data)


def _node(rows: Sequence[bytes], limit: int, depth: int) -> bytes:
    return ondisk.EXTENT_HEADER.pack(eh_entries=len(rows), eh_max=limit, eh_depth=depth) + b"".join(rows)


@lru_cache(1024)
def _time(mtime: int) -> tuple[int, int]:
    """Lower 32 bits, and two more for the later field: they count from where 32 signed bits end."""
    seconds = min(max(mtime, EARLIEST), LATEST)
    return seconds & MASK, seconds + (1 << 31) >> 32


def _hash_attributes(xattrs: Xattrs) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Prefix, rest of the name, value and hash of each attribute, in ext4's order."""
    found = []
    for text, value in xattrs:
        if text in ondisk.ACLS:
            index, name, value = ondisk.ACLS[text], b"", _access_list(value)
        else:
            prefix = text.partition(".")[0] + "."
            if prefix not in ondisk.PREFIXES:
                room = f"ext4 has room for {', '.join(ondisk.PREFIXES)}"
                raise FormatError(f"extended attribute {text}; {room}: leave it out")
            index, name = ondisk.PREFIXES[prefix], raw(text.removeprefix(prefix))
        found.append((index, len(name), name, value))
    for index, _, name, value in sorted(found):
        yield index, name, value, _hash(name, value)


def _table(xattrs: Xattrs, start: int, end: int) -> bytes | None:
    """The attributes between `start` and `end`: entries from the front, values from the back; None if too long."""
    found = list(_hash_attributes(xattrs))
    if not found:
        return b""
    if _room(found) + 4 > end - start:
        return None
    entries = values = b""
    for index, name, value, number in found:
        values = _pad(value) + values
        place = end - len(values) if value else 0
        entries += ondisk.XATTR_ENTRY.struct.pack(len(name), index, place, 0, len(value), number) + _pad(name)
    return entries.ljust(end - start - len(values), b"\0") + values


def _room(found: Sequence[tuple[int, bytes, bytes, int]]) -> int:
    """Returns the bytes that attributes take; they come from `_hash_attributes`."""
    return sum(16 + len(_pad(name)) + len(_pad(value)) for _, name, value, _ in found)


def _pad(data: bytes) -> bytes:
    return data.ljust(len(data) + 3 & ~3, b"\0")


def _hash(name: bytes, value: bytes) -> int:
    result = 0
    for byte in name:
        result = (result << 5 ^ result >> 27 ^ byte) & MASK
    for (word,) in iter_unpack("<I", _pad(value)):
        result = (result << 16 ^ result >> 16 ^ word) & MASK
    return result


def _access_list(value: bytes) -> bytes:
    """An access control list as ext4 keeps it: version 1, and an id only where there is one."""
    if len(value) % 8 != 4 or value[:4] != pack("<I", ondisk.ACL_ELSEWHERE):
        raise FormatError("an access control list that is not of version 2")
    entries = ondisk.ACL_ENTRY.struct.iter_unpack(value[4:])
    rows = (
        (ondisk.ACL_ENTRY.struct.pack(*e) if e[0] in ondisk.ACL_NAMED else ondisk.ACL_SHORT_ENTRY.struct.pack(*e[:2]))
        for e in entries
    )
    return pack("<I", ondisk.ACL_VERSION) + b"".join(rows)
