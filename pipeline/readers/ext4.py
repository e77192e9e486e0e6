"""ext2, ext3 and ext4 (kernel: Documentation/filesystems/ext4), without journal replay, encryption or meta_bg."""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers import HEADER, LARGEST_DIRECTORY, MOST_ENTRIES, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Memory, Mosaic, View, window

ROOT = 2
EXTENTS, INLINE = 0x80000, 0x10000000
META_BG, ENCRYPTED = 0x10, 0x10000
EXTENT_MAGIC, XATTR_MAGIC = 0xF30A, 0xEA020000
UNWRITTEN = 32768
"""A longer extent is one of zeros."""
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
PREFIXES = {
    1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.",
    6: "security.", 7: "system.",
}  # fmt: skip
ACLS = (2, 3)
"""Those of PREFIXES that are whole names: of access control lists, which have a form of their own here."""
ACL_NAMED, NOBODY = (2, 8), 0xFFFFFFFF
"""Tags of those entries that are for one user or one group; the id that others have elsewhere."""
DEEPEST = 256
LONGEST_TARGET = 4096
"""PATH_MAX of the kernel."""


class _Volume(NamedTuple):
    view: View
    block: int
    per_group: int
    inode_size: int
    tables: tuple[int, ...]
    """The block of every group's inode table."""
    walked: set[int]
    """Directories that were listed: one that comes twice is a ring."""

    def inode(self, number: int) -> bytes:
        group, index = divmod(number - 1, self.per_group)
        return self.view.read(self.tables[group] * self.block + index * self.inode_size, self.inode_size)

    def blocks(self, number: int, count: int = 1) -> Extent:
        return Extent(self.view if number else None, number * self.block, count * self.block)


def recognises(view: View) -> bool:
    return view.read(1080, 2) == b"\x53\xef"


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root. Times are seconds since 1970."""
    sb = view.read(1024, 1024)
    volume = _volume(view, sb)
    listing: dict[str, Node] = {}
    for path, node in _walk(volume, ROOT, "", 0):
        listing[path] = node
        if len(listing) > MOST_ENTRIES:
            raise Unreadable(f"more than {MOST_ENTRIES} entries")
    (mounted, written), checked, made = struct.unpack_from("<II", sb, 44), _u32(sb, 64), _u32(sb, 264)
    facts: dict[str, str | int] = {
        "UUID": str(uuid.UUID(bytes=sb[104:120])), "label": sb[120:136].rstrip(b"\0").decode("latin-1"),
        "made": made, "written": written, "mounted": mounted, "checked": checked,
        "hash seed": sb[236:252].hex(), "features": " ".join(f"{_u32(sb, at):#x}" for at in (92, 96, 100)),
        "block": volume.block, "last mounted on": sb[136:200].split(b"\0")[0].decode("latin-1"),
    }  # fmt: skip
    place = {"blocks": _u32(sb, 4), "free blocks": _u32(sb, 12), "inodes": _u32(sb, 0), "free inodes": _u32(sb, 16)}
    listing[HEADER] = Node("file system", facts, None, place)
    return listing


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _volume(view: View, sb: bytes) -> _Volume:
    incompatible = _u32(sb, 96)
    if incompatible & (META_BG | ENCRYPTED) or _u32(sb, 24) > 6:
        raise Unreadable("an ext4 with features that are not known here")
    block = 1024 << _u32(sb, 24)
    wide = incompatible & 0x80 != 0
    size = _u16(sb, 254) if wide else 32
    groups = -(-(_u32(sb, 4) - _u32(sb, 20)) // _u32(sb, 32))
    if groups * size > view.size:
        raise Unreadable("more groups than there is room for")
    descriptors = view.read((_u32(sb, 20) + 1) * block, groups * size)
    tables = [
        _u32(descriptors, at + 8) | (_u32(descriptors, at + 40) << 32 if wide else 0)
        for at in range(0, groups * size, size)
    ]
    return _Volume(view, block, _u32(sb, 40), _u16(sb, 88) if _u32(sb, 76) else 128, tuple(tables), set())


def _walk(volume: _Volume, number: int, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    inode = volume.inode(number)
    content = _content(volume, inode)
    yield path or ".", _node(volume, number, inode, content)
    if stat.S_IFMT(_u16(inode, 0)) == stat.S_IFDIR:
        if depth > DEEPEST or number in volume.walked or content.size > LARGEST_DIRECTORY:
            raise Unreadable("directories without end")
        volume.walked.add(number)
        for name, child in sorted(_directory(volume, inode, content)):
            yield from _walk(volume, child, f"{path}/{name}" if path else name, depth + 1)


def _directory(volume: _Volume, inode: bytes, content: View) -> Iterator[tuple[str, int]]:
    """Name and inode of each entry. Inner nodes of hashed directories look like blocks of empty entries."""
    data = content.read(0, content.size)
    blocks = [(0, data)] if not _u32(inode, 32) & INLINE else [(4, data[:60]), (0, data[60:])]
    for at, block in blocks:
        while at + 8 <= len(block):
            number, length, name_length = struct.unpack_from("<IHB", block, at)
            name = os.fsdecode(block[at + 8 : at + 8 + name_length])
            if number and name not in (".", "..", ""):
                yield name, number
            if length < 8:
                raise Unreadable("a directory entry without length")
            at += length


def _node(volume: _Volume, number: int, inode: bytes, content: View) -> Node:
    mode = _u16(inode, 0)
    kind = KINDS.get(stat.S_IFMT(mode), "device")
    facts: dict[str, str | int] = {
        "mode": f"{stat.S_IMODE(mode):04o}", "uid": _u16(inode, 2) | _u16(inode, 120) << 16,
        "gid": _u16(inode, 24) | _u16(inode, 122) << 16, "mtime": _time(inode, 16, 136),
        "ctime": _time(inode, 12, 132), "atime": _time(inode, 8, 140), "crtime": _time(inode, 144, 148),
        "flags": f"{_u32(inode, 32):#x}", "generation": _u32(inode, 100),
    }  # fmt: skip
    if kind != "directory" and _u16(inode, 26) > 1:
        facts["links"] = _u16(inode, 26)
    if kind == "symlink":
        facts["target"] = os.fsdecode(content.read(0, LONGEST_TARGET))
    if kind == "device":
        facts |= {"type": f"{stat.S_IFMT(mode):o}", "device": inode[40:48].hex()}
    facts |= _xattrs(volume, inode)
    return Node(kind, facts, content if kind == "file" else None, {"inode": number})


def _time(inode: bytes, at: int, extra: int) -> int:
    """Seconds since 1970: signed 32 bits, and two more in the extra field of larger inodes."""
    if at >= 128 + _extra(inode):
        return 0
    seconds: int = struct.unpack_from("<i", inode, at)[0]
    return seconds + ((_u32(inode, extra) & 3) << 32 if extra + 4 <= 128 + _extra(inode) else 0)


def _extra(inode: bytes) -> int:
    return _u16(inode, 128) if len(inode) > 128 else 0


def _content(volume: _Volume, inode: bytes) -> View:
    size = _u32(inode, 4) | _u32(inode, 108) << 32
    flags, root = _u32(inode, 32), inode[40:100]
    kind = stat.S_IFMT(_u16(inode, 0))
    if flags & INLINE:
        return Memory((root + dict(_raw_xattrs(volume, inode)).get("system.data", b""))[:size])
    if kind == stat.S_IFLNK and size < 60 and not flags & EXTENTS:
        return Memory(root[:size])
    if kind not in KINDS:
        return Memory(b"")
    placed = _extents(volume, root) if flags & EXTENTS else _indirect(volume, root)
    return window(Mosaic(_filled(volume, placed, size)), 0, size)


def _filled(volume: _Volume, placed: Iterator[tuple[int, Extent]], size: int) -> Iterator[Extent]:
    """The extents with zeros in the gaps between them and at the end."""
    at = 0
    for start, extent in placed:
        yield Extent(None, 0, max(0, start * volume.block - at))
        yield extent
        at = start * volume.block + extent.length
    yield Extent(None, 0, max(0, size - at))


def _extents(volume: _Volume, node: bytes, depth: int = 5) -> Iterator[tuple[int, Extent]]:
    """First logical block and place of each extent."""
    magic, count, _, height, _ = struct.unpack_from("<HHHHI", node)
    if magic != EXTENT_MAGIC or height > depth:
        raise Unreadable("no extent tree")
    for at in range(12, 12 + 12 * count, 12):
        if height:
            _, low, high = struct.unpack_from("<IIH", node, at)
            child = volume.view.read((low | high << 32) * volume.block, volume.block)
            yield from _extents(volume, child, height - 1)
        else:
            start, length, high, low = struct.unpack_from("<IHHI", node, at)
            where = low | high << 32 if length <= UNWRITTEN else 0
            yield start, volume.blocks(where, length if length <= UNWRITTEN else length - UNWRITTEN)


def _indirect(volume: _Volume, root: bytes) -> Iterator[tuple[int, Extent]]:
    """The block map of ext2: twelve blocks, then blocks of blocks, up to three levels."""
    numbers = struct.unpack("<15I", root)
    per_block = volume.block // 4

    def below(number: int, level: int, start: int) -> Iterator[tuple[int, Extent]]:
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


def _xattrs(volume: _Volume, inode: bytes) -> dict[str, str | int]:
    return {f"xattr {name}": value.hex() for name, value in _raw_xattrs(volume, inode) if name != "system.data"}


def _raw_xattrs(volume: _Volume, inode: bytes) -> Iterator[tuple[str, bytes]]:
    """Attributes in the inode's tail, then those in a block of their own."""
    start = 128 + _extra(inode)
    if _u32(inode, start) == XATTR_MAGIC:
        yield from _pairs(inode, start + 4, start + 4)
    if number := _u32(inode, 104) | _u16(inode, 118) << 32:
        yield from _pairs(volume.view.read(number * volume.block, volume.block), 32, 0)


def _pairs(data: bytes, at: int, values: int) -> Iterator[tuple[str, bytes]]:
    while _u32(data, at):
        length, prefix, offset, _, size, _ = struct.unpack_from("<BBHIII", data, at)
        name = PREFIXES.get(prefix, f"{prefix}.") + os.fsdecode(data[at + 16 : at + 16 + length])
        value = data[values + offset : values + offset + size]
        yield name, _access_list(value) if prefix in ACLS else value
        at += 16 + -(-length // 4) * 4


def _access_list(value: bytes) -> bytes:
    """The access control list `value` as every other file system has it: with an id in every entry."""
    result, at = struct.pack("<I", 2), 4
    while at < len(value):
        tag, permissions = struct.unpack_from("<HH", value, at)
        named = tag in ACL_NAMED
        result += struct.pack("<HHI", tag, permissions, _u32(value, at + 4) if named else NOBODY)
        at += 8 if named else 4
    return result


READER = Reader("ext4", recognises, read, order=40)
