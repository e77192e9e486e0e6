"""erofs, as it is or with LZ4 (kernel: Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h)."""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from pipeline.readers import HEADER, LARGEST_DIRECTORY, MOST_ENTRIES, Listing, Node, Reader, Unreadable
from pipeline.readers import erofs_index as index
from pipeline.readers.view import Extent, Mosaic, Packed, View, window

SUPERBLOCK = 1024
MAGIC = struct.pack("<I", 0xE0F5E1E2)
FIELDS = "<IIIBBHQqIIII16s16sI"
SLOT = 32
PLAIN, FULL, INLINE, COMPACT, CHUNKS = range(5)
"""Layouts of an inode's data. FULL and COMPACT are compressed."""
HOLE = 0xFFFFFFFF
WITH_DEVICES = 0x20
"""In a chunks' format: 8 bytes for each, the last 4 of which say where it is."""
PADDED = 1
"""A feature: compressed bytes end where their blocks end."""
KNOWN = PADDED | 0x2 | 0x4 | 0x8 | 0x20
"""Features: 0padding, big pclusters, chunks, a second head, shared compressed data."""
LARGEST_TABLE = 16 << 20
LARGEST_EXTENT = 64 << 20
LONGEST_LINK = 1 << 16
DEEPEST = 256
"""Directories below each other: a damaged image may make a ring."""
LETTERS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p", stat.S_IFSOCK: "s"}
PREFIXES = {
    1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 5: "lustre.",
    6: "security.",
}  # fmt: skip


class _Inode(NamedTuple):
    nid: int
    layout: int
    mode: int
    size: int
    value: int
    uid: int
    gid: int
    mtime: int
    links: int
    attributes: int
    """Where they start; they end where what follows the inode starts."""
    behind: int


class _Image:
    """An image whose superblock was read."""

    def __init__(self, view: View) -> None:
        fields = struct.unpack(FIELDS, view.read(SUPERBLOCK, struct.calcsize(FIELDS)))
        (_, self.checksum, self.compatible, bits, _, self.root, self.inodes, self.time, _, self.blocks, self.metadata,
         self.shared, self.uuid, self.name, self.features) = fields  # fmt: skip
        if not 9 <= bits <= 16 or self.features & ~KNOWN:
            raise Unreadable("an erofs with unknown features")
        self.view = view
        self.block = 1 << bits
        self.walked: set[int] = set()

    def inode(self, nid: int) -> _Inode:
        at = self.metadata * self.block + nid * SLOT
        form, count, mode, links, size = struct.unpack("<HHHHI", self.view.read(at, 12))
        if form & 1:
            size, value, _, uid, gid, mtime, _, links = struct.unpack("<QIIIIqII", self.view.read(at + 8, 40))
        else:
            value, _, uid, gid = struct.unpack("<IIHH", self.view.read(at + 16, 12))
            mtime = self.time
        start = at + (64 if form & 1 else 32)
        behind = start + (12 + (count - 1) * 4 if count else 0)
        return _Inode(nid, form >> 1 & 7, mode, size, value, uid, gid, mtime, links, start, behind)

    def content(self, inode: _Inode) -> View:
        """The bytes of a file, directory or link."""
        size, block = inode.size, self.block
        if inode.layout == PLAIN:
            return window(self.view, inode.value * block, size)
        if inode.layout == INLINE:
            whole = size // block * block
            parts = (Extent(self.view, inode.value * block, whole), Extent(self.view, inode.behind, size - whole))
            return Mosaic(parts)
        if inode.layout == CHUNKS:
            return Mosaic(self._chunks(inode))
        if inode.layout in (FULL, COMPACT) and self.features & PADDED:
            start = -(-inode.behind // 8) * 8
            found = index.extents(self.view, start, size, block, inode.layout == COMPACT)
            return Mosaic(map(self._extent, found))
        raise Unreadable(f"data of layout {inode.layout}")

    def _chunks(self, inode: _Inode) -> Iterator[Extent]:
        chunk = self.block << (inode.value & 31)
        width = 8 if inode.value & WITH_DEVICES else 4
        count = -(-inode.size // chunk)
        if count * width > LARGEST_TABLE:
            raise Unreadable("a table of that size")
        table = self.view.read(-(-inode.behind // width) * width, count * width)
        left = inode.size
        for (start,) in struct.iter_unpack("<4xI" if width == 8 else "<I", table):
            hole = start == HOLE
            yield Extent(None if hole else self.view, 0 if hole else start * self.block, min(chunk, left))
            left -= chunk

    def _extent(self, extent: index.Extent) -> Extent:
        length, at = extent.end - extent.begin, extent.start * self.block
        if not extent.packed:
            return Extent(self.view, at, length)
        if length > LARGEST_EXTENT:
            raise Unreadable("an extent of that size")
        return Extent(Packed(partial(self._unpacked, at, extent.blocks * self.block, length), length), 0, length)

    def _unpacked(self, at: int, stored: int, length: int) -> bytes:
        import lz4.block

        return bytes(lz4.block.decompress(self.view.read(at, stored).lstrip(b"\0"), uncompressed_size=length))

    def names(self, inode: _Inode) -> Iterator[tuple[str, int]]:
        """Name and number of what is in a directory, without itself and the one above."""
        if inode.size > LARGEST_DIRECTORY:
            raise Unreadable("a directory of that size")
        data = self.content(inode)
        for at in range(0, inode.size, self.block):
            block = data.read(at, self.block)
            first = struct.unpack_from("<H", block, 8)[0]
            rows = list(struct.iter_unpack("<QHBx", block[: first // 12 * 12]))
            ends = [row[1] for row in rows[1:]] + [len(block)]
            for (nid, start, _), end in zip(rows, ends, strict=True):
                name = block[start:end].partition(b"\0")[0]
                if name not in (b".", b".."):
                    yield os.fsdecode(name), nid

    def xattrs(self, inode: _Inode) -> Iterator[tuple[str, str]]:
        if inode.attributes == inode.behind:
            return
        data = self.view.read(inode.attributes, inode.behind - inode.attributes)
        for (number,) in struct.iter_unpack("<I", data[12 : 12 + data[4] * 4]):
            place = self.shared * self.block + number * 4
            yield _pair(self.view.read(place, 4 + 255 + 65535))[0]
        rest = data[12 + data[4] * 4 :]
        while len(rest) >= 4 and rest[:4] != bytes(4):
            pair, size = _pair(rest)
            yield pair
            rest = rest[-(-size // 4) * 4 :]


def _pair(data: bytes) -> tuple[tuple[str, str], int]:
    """The attribute that `data` starts with, and its size."""
    length, prefix, size = struct.unpack_from("<BBH", data)
    name = PREFIXES.get(prefix, f"({prefix}) ") + os.fsdecode(data[4 : 4 + length])
    return (name, data[4 + length : 4 + length + size].hex()), 4 + length + size


def recognises(view: View) -> bool:
    return view.read(SUPERBLOCK, 4) == MAGIC


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root."""
    image = _Image(view)
    listing = dict(_walk(image, image.root, "", 0))
    facts: dict[str, str | int] = {
        "made": image.time, "inodes": image.inodes, "features": f"{image.features:#x} {image.compatible:#x}",
        "identity": str(uuid.UUID(bytes=image.uuid)), "name": image.name.rstrip(b"\0").decode("latin-1"),
    }  # fmt: skip
    place: dict[str, str | int] = {"blocks": image.blocks, "metadata": image.metadata, "checksum": image.checksum}
    listing[HEADER] = Node("file system", facts, None, place)
    return listing


def _walk(image: _Image, nid: int, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    inode = image.inode(nid)
    yield path or ".", _node(image, inode)
    if stat.S_ISDIR(inode.mode):
        if depth > DEEPEST or nid in image.walked or len(image.walked) > MOST_ENTRIES:
            raise Unreadable("directories without end")
        image.walked.add(nid)
        for name, child in image.names(inode):
            yield from _walk(image, child, f"{path}/{name}" if path else name, depth + 1)


def _node(image: _Image, inode: _Inode) -> Node:
    kind = stat.S_IFMT(inode.mode)
    facts: dict[str, str | int] = {
        "mode": f"{inode.mode & 0o7777:04o}", "uid": inode.uid, "gid": inode.gid, "mtime": inode.mtime,
    }  # fmt: skip
    if kind != stat.S_IFDIR and inode.links > 1:
        facts["links"] = inode.links
    facts |= {f"xattr {name}": value for name, value in image.xattrs(inode)}
    place: dict[str, str | int] = {"inode": inode.nid, "layout": inode.layout}
    if kind == stat.S_IFDIR:
        return Node("directory", facts, None, place)
    if kind == stat.S_IFREG:
        return Node("file", facts, image.content(inode), place)
    if kind == stat.S_IFLNK and inode.size <= LONGEST_LINK:
        facts["target"] = os.fsdecode(image.content(inode).read(0, inode.size))
        return Node("symlink", facts, None, place)
    major, minor = inode.value >> 8 & 0xFFF, inode.value & 0xFF | inode.value >> 12 & 0xFFF00
    facts["device"] = f"{LETTERS.get(kind, '?')} {major}:{minor}"
    return Node("device", facts, None, place)


READER = Reader("erofs", recognises, read)
