"""ext2, ext3 and ext4 (kernel: Documentation/filesystems/ext4), without journal replay, encryption or meta_bg."""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from pipeline.ondisk import ext4 as ondisk
from pipeline.readers import HEADER, LARGEST_DIRECTORY, Listing, Node, Reader, StructureError, walk
from pipeline.readers.view import BytesView, ConcatView, View, ViewSlice, subview

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
PREFIXES = {number: name for name, number in (ondisk.PREFIXES | ondisk.ACLS).items()}
NOBODY = 0xFFFFFFFF
"""Id of those entries of an access control list that are for no one user or group, outside of ext4."""
LONGEST_TARGET = 4096
"""PATH_MAX of the kernel."""


class _Ext4Inode(NamedTuple):
    number: int
    fields: Any
    """An ondisk.INODE; fields that an older, shorter inode lacks are zero."""
    attributes: bytes
    """The bytes after the fields."""

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.fields.i_mode)

    @property
    def size(self) -> int:
        return int(self.fields.i_size_lo | self.fields.i_size_high << 32)

    def time(self, name: str) -> int:
        """Seconds since 1970: signed 32 bits, and two more in the extra field of larger inodes."""
        seconds, extra = getattr(self.fields, f"i_{name}"), getattr(self.fields, f"i_{name}_extra")
        return int(seconds - (seconds >> 31 << 32) + ((extra & 3) << 32))


class _Ext4(NamedTuple):
    view: View
    block: int
    per_group: int
    inode_size: int
    tables: tuple[int, ...]
    """The block of every group's inode table."""

    def inode(self, number: int) -> _Ext4Inode:
        group, index = divmod(number - 1, self.per_group)
        data = self.view.read(self.tables[group] * self.block + index * self.inode_size, self.inode_size)
        extra = data[ondisk.SMALL_INODE : ondisk.SMALL_INODE + 2]
        size = ondisk.SMALL_INODE + int.from_bytes(extra, "little")
        fields = ondisk.INODE.unpack(data[:size].ljust(ondisk.INODE.size, b"\0"))
        return _Ext4Inode(number, fields, data[size:])

    def blocks(self, number: int, count: int = 1) -> ViewSlice:
        return ViewSlice(self.view if number else None, number * self.block, count * self.block)


def recognises(view: View) -> bool:
    magic = ondisk.MAGIC.to_bytes(2, "little")
    return view.read(ondisk.SUPERBLOCK_OFFSET + ondisk.SUPERBLOCK.offset["s_magic"], 2) == magic


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root. Times are seconds since 1970."""
    sb = ondisk.SUPERBLOCK.unpack(view.read(ondisk.SUPERBLOCK_OFFSET, ondisk.SUPERBLOCK.size))
    volume = _volume(view, sb)
    listing = walk(ondisk.ROOT_INODE, partial(_look, volume))
    features = (sb.s_feature_compat, sb.s_feature_incompat, sb.s_feature_ro_compat)
    properties: dict[str, str | int] = {
        "UUID": str(uuid.UUID(bytes=sb.s_uuid)), "label": sb.s_volume_name.rstrip(b"\0").decode("latin-1"),
        "made": sb.s_mkfs_time, "written": sb.s_wtime, "mounted": sb.s_mtime, "checked": sb.s_lastcheck,
        "hash seed": sb.s_hash_seed.hex(), "features": " ".join(f"{word:#x}" for word in features),
        "block": volume.block, "last mounted on": sb.s_last_mounted.split(b"\0")[0].decode("latin-1"),
    }  # fmt: skip
    place = {
        "blocks": sb.s_blocks_count_lo, "free blocks": sb.s_free_blocks_count_lo,
        "inodes": sb.s_inodes_count, "free inodes": sb.s_free_inodes_count,
    }  # fmt: skip
    listing[HEADER] = Node("file system", properties, None, place)
    return listing


def _volume(view: View, sb: Any) -> _Ext4:
    if sb.s_feature_incompat & (ondisk.META_BG | ondisk.ENCRYPT) or sb.s_log_block_size > 6:
        raise StructureError("an ext4 with features that are not known here")
    block = 1024 << sb.s_log_block_size
    size = sb.s_desc_size if sb.s_feature_incompat & ondisk.IS_64BIT else ondisk.SMALL_GROUP
    groups = -(-(sb.s_blocks_count_lo - sb.s_first_data_block) // sb.s_blocks_per_group)
    if groups * size > view.size:
        raise StructureError("more groups than there is room for")
    data = view.read((sb.s_first_data_block + 1) * block, groups * size)
    parts = [data[at : at + size].ljust(ondisk.GROUP.size, b"\0") for at in range(0, groups * size, size)]
    rows = [ondisk.GROUP.unpack(part) for part in parts]
    tables = tuple(row.bg_inode_table_lo | row.bg_inode_table_hi << 32 for row in rows)
    inode_size = sb.s_inode_size if sb.s_rev_level else ondisk.SMALL_INODE
    return _Ext4(view, block, sb.s_inodes_per_group, inode_size, tables)


def _look(volume: _Ext4, number: int) -> tuple[Node, Iterable[tuple[str, int]]]:
    inode = volume.inode(number)
    content = _content(volume, inode)
    if inode.kind != stat.S_IFDIR:
        return _node(volume, inode, content), ()
    if content.size > LARGEST_DIRECTORY:
        raise StructureError("a directory of that size")
    return _node(volume, inode, content), sorted(_directory(inode, content))


def _directory(inode: _Ext4Inode, content: View) -> Iterator[tuple[str, int]]:
    """Name and inode of each entry. Inner nodes of hashed directories look like blocks of empty entries."""
    data, entry = content.read(0, content.size), ondisk.DIR_ENTRY
    blocks = [(4, data[:60]), (0, data[60:])] if inode.fields.i_flags & ondisk.INLINE_DATA_FL else [(0, data)]
    for at, block in blocks:
        while at + entry.size <= len(block):
            number, length, name_length, _ = entry.struct.unpack_from(block, at)
            name = os.fsdecode(block[at + entry.size : at + entry.size + name_length])
            if number and name not in (".", "..", ""):
                yield name, number
            if length < entry.size:
                raise StructureError("a directory entry without length")
            at += length


def _node(volume: _Ext4, inode: _Ext4Inode, content: View) -> Node:
    fields, kind = inode.fields, KINDS.get(inode.kind, "device")
    properties: dict[str, str | int] = {
        "mode": f"{stat.S_IMODE(fields.i_mode):04o}",
        "uid": fields.i_uid | fields.l_i_uid_high << 16, "gid": fields.i_gid | fields.l_i_gid_high << 16,
        "mtime": inode.time("mtime"), "ctime": inode.time("ctime"), "atime": inode.time("atime"),
        "crtime": inode.time("crtime"), "flags": f"{fields.i_flags:#x}", "generation": fields.i_generation,
    }  # fmt: skip
    if kind != "directory" and fields.i_links_count > 1:
        properties["links"] = fields.i_links_count
    if kind == "symlink":
        properties["target"] = os.fsdecode(content.read(0, LONGEST_TARGET))
    if kind == "device":
        properties |= {"type": f"{inode.kind:o}", "device": fields.i_block[:8].hex()}
    properties |= _xattrs(volume, inode)
    return Node(kind, properties, content if kind == "file" else None, {"inode": inode.number})


def _content(volume: _Ext4, inode: _Ext4Inode) -> View:
    size, flags, root = inode.size, inode.fields.i_flags, inode.fields.i_block
    if flags & ondisk.INLINE_DATA_FL:
        return BytesView((root + dict(_raw_xattrs(volume, inode)).get("system.data", b""))[:size])
    if inode.kind == stat.S_IFLNK and size < len(root) and not flags & ondisk.EXTENTS_FL:
        return BytesView(root[:size])
    if inode.kind not in KINDS:
        return BytesView(b"")
    placed = _extents(volume, root) if flags & ondisk.EXTENTS_FL else _indirect(volume, root)
    return subview(ConcatView(_filled(volume, placed, size)), 0, size)


def _filled(volume: _Ext4, placed: Iterator[tuple[int, ViewSlice]], size: int) -> Iterator[ViewSlice]:
    """The extents with zeros in the gaps between them and at the end."""
    at = 0
    for start, extent in placed:
        yield ViewSlice(None, 0, max(0, start * volume.block - at))
        yield extent
        at = start * volume.block + extent.length
    yield ViewSlice(None, 0, max(0, size - at))


def _extents(volume: _Ext4, node: bytes, depth: int = 5) -> Iterator[tuple[int, ViewSlice]]:
    """First logical block and place of each extent."""
    header = ondisk.EXTENT_HEADER.unpack(node)
    if header.eh_magic != ondisk.EXTENT_MAGIC or header.eh_depth > depth:
        raise StructureError("no extent tree")
    kind = ondisk.EXTENT_INDEX if header.eh_depth else ondisk.EXTENT
    for number in range(1, header.eh_entries + 1):
        if header.eh_depth:
            row = kind.unpack(node, number * kind.size)
            child = volume.view.read((row.ei_leaf_lo | row.ei_leaf_hi << 32) * volume.block, volume.block)
            yield from _extents(volume, child, header.eh_depth - 1)
        else:
            start, length, high, low = kind.struct.unpack_from(node, number * kind.size)
            written = length <= ondisk.LONGEST_EXTENT
            where = low | high << 32 if written else 0
            yield start, volume.blocks(where, length if written else length - ondisk.LONGEST_EXTENT)


def _indirect(volume: _Ext4, root: bytes) -> Iterator[tuple[int, ViewSlice]]:
    """The block map of ext2: twelve blocks, then blocks of blocks, up to three levels."""
    numbers = struct.unpack("<15I", root)
    per_block = volume.block // 4

    def below(number: int, level: int, start: int) -> Iterator[tuple[int, ViewSlice]]:
        if number and not level:
            yield start, volume.blocks(number)
        elif number:
            block = volume.view.read(number * volume.block, volume.block)
            for index, child in enumerate(struct.unpack(f"<{per_block}I", block)):
                yield from below(child, level - 1, start + index * per_block ** (level - 1))

    start = 0
    for index, number in enumerate(numbers):
        level = max(0, index - 11)
        yield from below(number, level, start)
        start += per_block**level


def _xattrs(volume: _Ext4, inode: _Ext4Inode) -> dict[str, str | int]:
    return {f"xattr {name}": value.hex() for name, value in _raw_xattrs(volume, inode) if name != "system.data"}


def _raw_xattrs(volume: _Ext4, inode: _Ext4Inode) -> Iterator[tuple[str, bytes]]:
    """Yields the attributes in the inode, then those in a block of their own."""
    if inode.attributes[:4] == ondisk.XATTR_MAGIC.to_bytes(4, "little"):
        yield from _pairs(inode.attributes, 4, 4)
    if number := inode.fields.i_file_acl_lo | inode.fields.l_i_file_acl_high << 32:
        yield from _pairs(volume.view.read(number * volume.block, volume.block), ondisk.XATTR_HEADER.size, 0)


def _pairs(data: bytes, at: int, values: int) -> Iterator[tuple[str, bytes]]:
    while any(data[at : at + 4]):
        entry = ondisk.XATTR_ENTRY.unpack(data, at)
        at += ondisk.XATTR_ENTRY.size
        prefix = PREFIXES.get(entry.e_name_index, f"{entry.e_name_index}.")
        name = prefix + os.fsdecode(data[at : at + entry.e_name_len])
        value = data[values + entry.e_value_offs :][: entry.e_value_size]
        yield name, _access_list(value) if entry.e_name_index in ondisk.ACLS.values() else value
        at += -(-entry.e_name_len // 4) * 4


def _access_list(value: bytes) -> bytes:
    """The access control list `value` as every other file system has it: with an id in every entry."""
    result, at = struct.pack("<I", ondisk.ACL_ELSEWHERE), 4
    while at < len(value):
        tag, permissions = ondisk.ACL_SHORT_ENTRY.struct.unpack_from(value, at)
        entry = ondisk.ACL_ENTRY if tag in ondisk.ACL_NAMED else ondisk.ACL_SHORT_ENTRY
        _, _, *named = entry.struct.unpack_from(value, at)
        result += ondisk.ACL_ENTRY.struct.pack(tag, permissions, *(named or [NOBODY]))
        at += entry.size
    return result


READER = Reader("ext4", recognises, read, order=40)
