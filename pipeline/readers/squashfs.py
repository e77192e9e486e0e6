"""squashfs 4.0 with gzip, xz or zstd (kernel: fs/squashfs/squashfs_fs.h; Documentation/filesystems/squashfs.rst)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from pipeline.readers import HEADER, MOST_ENTRIES, Listing, Node, Reader, Unreadable
from pipeline.readers.squash_metadata import Metadata, decompress, table
from pipeline.readers.view import Extent, Mosaic, Packed, View

FIELDS = "<4sIIIIHHHHHHQQQQQQQQ"
RAW = 1 << 24
"""Set in a block's size where it is not compressed."""
NOTHING = 0xFFFFFFFF
COMPRESSIONS = {1: "gzip", 4: "xz", 6: "zstd"}
KINDS = {1: "directory", 2: "file", 3: "symlink", 4: "device", 5: "device", 6: "device", 7: "device"}
LETTERS = {4: "b", 5: "c", 6: "p", 7: "s"}
PREFIXES = {0: "user.", 1: "trusted.", 2: "security."}
OUT_OF_LINE = 0x100
LARGEST_BLOCK = 1 << 20
DEEPEST = 256
"""Directories below each other: a path of 4096 bytes has hardly more, and a damaged image may make a ring."""


class _Inode(NamedTuple):
    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    number: int
    links: int = 1
    size: int = 0
    start: int = 0
    offset: int = 0
    fragment: int = NOTHING
    blocks: tuple[int, ...] = ()
    target: str = ""
    device: int = 0
    xattr: int = NOTHING
    lookups: int = 0
    """Places in a directory's listing that can be looked up."""


class _Image:
    """An image whose tables were read."""

    def __init__(self, view: View) -> None:
        fields = struct.unpack(FIELDS, view.read(0, struct.calcsize(FIELDS)))
        _, _, self.made, self.block_size, fragments, compression, _, self.flags, ids, major, _, self.root = fields[:12]
        self.used, id_table, self.xattr_table, self.inode_table, self.directory_table, fragment_table, _ = fields[12:]
        if major != 4 or compression not in COMPRESSIONS or not 0 < self.block_size <= LARGEST_BLOCK:
            raise Unreadable("a squashfs of another version or compression")
        self.view = view
        self.walked: set[int] = set()
        self.compression = COMPRESSIONS[compression]
        self.metadata = Metadata(view, self.compression)
        self.ids = [number for (number,) in table(self.metadata, id_table, ids, "<I")]
        self.fragments = list(table(self.metadata, fragment_table, fragments, "<QII")) if fragments else []
        self.xattrs = list(self._xattrs()) if self.xattr_table != (1 << 64) - 1 else []

    def _xattrs(self) -> Iterator[dict[str, str | int]]:
        start, count, _ = struct.unpack("<QII", self.view.read(self.xattr_table, 16))
        for reference, pairs, _ in table(self.metadata, self.xattr_table + 16, count, "<QII"):
            stream = self.metadata.at(start, reference)
            found: dict[str, str | int] = {}
            for _ in range(pairs):
                kind, length = stream.unpack("<HH")
                name = PREFIXES.get(kind & 0xFF, "") + os.fsdecode(stream.take(length))
                value = stream.take(*stream.unpack("<I"))
                if kind & OUT_OF_LINE:
                    other = self.metadata.at(start, *struct.unpack("<Q", value))
                    value = other.take(*other.unpack("<I"))
                found[f"xattr {name}"] = value.hex()
            yield found

    def inode(self, reference: int) -> _Inode:
        stream = self.metadata.at(self.inode_table, reference)
        kind, mode, uid, gid, mtime, number = stream.unpack("<HHHHII")
        inode = _Inode((kind - 1) % 7 + 1, mode, self.ids[uid], self.ids[gid], mtime, number)
        extended = kind > 7
        if inode.kind == 1 and extended:
            links, size, start, _, index, offset, xattr = stream.unpack("<IIIIHHI")
            return inode._replace(links=links, size=size - 3, start=start, offset=offset, xattr=xattr, lookups=index)
        if inode.kind == 1:
            start, links, size, offset, _ = stream.unpack("<IIHHI")
            return inode._replace(links=links, size=size - 3, start=start, offset=offset)
        if inode.kind == 2:
            xattr, links = NOTHING, 1
            if extended:
                start, size, _, links, fragment, offset, xattr = stream.unpack("<QQQIIII")
            else:
                start, fragment, offset, size = stream.unpack("<IIII")
            count = size // self.block_size if fragment != NOTHING else -(-size // self.block_size)
            blocks = stream.unpack(f"<{count}I")
            return inode._replace(
                links=links, size=size, start=start, fragment=fragment, offset=offset, blocks=blocks, xattr=xattr
            )
        (links,) = stream.unpack("<I")
        inode = inode._replace(links=links)
        if inode.kind == 3:
            inode = inode._replace(target=os.fsdecode(stream.take(*stream.unpack("<I"))))
        elif inode.kind in (4, 5):
            inode = inode._replace(device=stream.unpack("<I")[0])
        return inode._replace(xattr=stream.unpack("<I")[0]) if extended else inode

    def directory(self, inode: _Inode) -> Iterator[tuple[str, int]]:
        """Name and inode reference of each entry."""
        stream = self.metadata.at(self.directory_table, inode.start << 16 | inode.offset)
        left = inode.size
        while left > 0:
            count, start, _ = stream.unpack("<III")
            left -= 12
            for _ in range(count + 1):
                offset, _, _, length = stream.unpack("<HhHH")
                yield os.fsdecode(stream.take(length + 1)), start << 16 | offset
                left -= 8 + length + 1

    def content(self, inode: _Inode) -> View:
        extents, at, left = [], inode.start, inode.size
        for block in inode.blocks:
            length = min(left, self.block_size)
            stored = block & (RAW - 1)
            extents.append(Extent(self._block(at, block) if stored else None, 0, length))
            at, left = at + stored, left - length
        if inode.fragment != NOTHING and left:
            start, size, _ = self.fragments[inode.fragment]
            extents.append(Extent(self._block(start, size), inode.offset, left))
        return Mosaic(extents)

    def _block(self, at: int, size: int) -> View:
        stored = size & (RAW - 1)
        if size & RAW:
            return Mosaic([Extent(self.view, at, stored)])
        return Packed(partial(self._unpacked, at, stored), self.block_size)

    def _unpacked(self, at: int, stored: int) -> bytes:
        return decompress(self.view.read(at, stored), self.compression, self.block_size)


def recognises(view: View) -> bool:
    return view.read(0, 4) == b"hsqs"


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root."""
    image = _Image(view)
    listing = dict(_walk(image, image.root, "", 0))
    facts: dict[str, str | int] = {
        "made": image.made, "compression": image.compression, "block": image.block_size, "flags": f"{image.flags:#x}",
    }  # fmt: skip
    listing[HEADER] = Node("file system", facts, None, {"bytes used": image.used})
    return listing


def _walk(image: _Image, reference: int, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    inode = image.inode(reference)
    yield path or ".", _node(image, inode)
    if inode.kind == 1:
        if depth > DEEPEST or reference in image.walked or len(image.walked) > MOST_ENTRIES:
            raise Unreadable("directories without end")
        image.walked.add(reference)
        for name, child in image.directory(inode):
            yield from _walk(image, child, f"{path}/{name}" if path else name, depth + 1)


def _node(image: _Image, inode: _Inode) -> Node:
    facts: dict[str, str | int] = {
        "mode": f"{inode.mode & 0o7777:04o}", "uid": inode.uid, "gid": inode.gid, "mtime": inode.mtime,
    }  # fmt: skip
    if inode.kind != 1 and inode.links > 1:
        facts["links"] = inode.links
    if inode.kind == 3:
        facts["target"] = inode.target
    if inode.kind in LETTERS:
        major, minor = inode.device >> 8 & 0xFFF, inode.device & 0xFF | inode.device >> 12 & 0xFFF00
        facts["device"] = f"{LETTERS[inode.kind]} {major}:{minor}"
    if inode.xattr != NOTHING:
        facts |= image.xattrs[inode.xattr]
    content = image.content(inode) if inode.kind == 2 else None
    place = {"inode": inode.number} | ({"index": inode.lookups} if inode.lookups else {})
    return Node(KINDS[inode.kind], facts, content, place)


READER = Reader("squashfs", recognises, read)
