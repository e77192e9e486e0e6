"""squashfs 4.0 with gzip, xz or zstd (kernel: fs/squashfs/squashfs_fs.h; Documentation/filesystems/squashfs.rst)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from pipeline.ondisk import decode_device
from pipeline.ondisk import squashfs as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError, walk
from pipeline.readers.squash_metadata import Metadata, decompress, table
from pipeline.readers.view import CompressedBlock, ConcatView, View, ViewSlice

COMPRESSIONS = {number: name for name, number in ondisk.COMPRESSIONS.items()}
KINDS = {ondisk.DIRECTORY: "directory", ondisk.REGULAR: "file", ondisk.SYMLINK: "symlink"}
LETTERS = {ondisk.BLOCK_DEVICE: "b", ondisk.CHARACTER_DEVICE: "c", ondisk.FIFO: "p", ondisk.SOCKET: "s"}
FORMS = {
    ondisk.DIRECTORY: ondisk.DIR, ondisk.DIRECTORY + ondisk.EXTENDED: ondisk.LARGE_DIR,
    ondisk.REGULAR: ondisk.FILE, ondisk.REGULAR + ondisk.EXTENDED: ondisk.LARGE_FILE,
}  # fmt: skip
PREFIXES = {number: prefix for prefix, number in ondisk.PREFIXES.items()}
LARGEST_BLOCK = 1 << 20


class _SquashfsInode(NamedTuple):
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
    fragment: int = ondisk.INVALID
    blocks: tuple[int, ...] = ()
    target: str = ""
    device: int = 0
    xattr: int = ondisk.INVALID
    lookups: int = 0
    """Places in a directory's listing that can be looked up."""


class _Squashfs:
    """An image whose tables were read."""

    def __init__(self, view: View) -> None:
        self.superblock = sb = ondisk.SUPERBLOCK.unpack(view.read(0, ondisk.SUPERBLOCK.size))
        if sb.s_major != 4 or sb.compression not in COMPRESSIONS or not 0 < sb.block_size <= LARGEST_BLOCK:
            raise StructureError("a squashfs of another version or compression")
        self.view = view
        self.compression = COMPRESSIONS[sb.compression]
        self.metadata = Metadata(view, self.compression)
        self.ids = [row.value for row in table(self.metadata, sb.id_table_start, sb.no_ids, ondisk.U32)]
        self.fragments = (
            table(self.metadata, sb.fragment_table_start, sb.fragments, ondisk.FRAGMENT) if sb.fragments else []
        )
        self.xattrs = list(self._xattrs()) if sb.xattr_id_table_start != ondisk.INVALID_BLK else []

    def _xattrs(self) -> Iterator[dict[str, str | int]]:
        at = self.superblock.xattr_id_table_start
        header = ondisk.XATTR_TABLE.unpack(self.view.read(at, ondisk.XATTR_TABLE.size))
        start = header.xattr_table_start
        for row in table(self.metadata, at + ondisk.XATTR_TABLE.size, header.xattr_ids, ondisk.XATTR_ID):
            stream = self.metadata.at(start, row.xattr)
            found: dict[str, str | int] = {}
            for _ in range(row.count):
                entry = stream.unpack(ondisk.XATTR_ENTRY)
                name = PREFIXES.get(entry.type & 0xFF, "") + os.fsdecode(stream.take(entry.size))
                value = stream.take(stream.unpack(ondisk.U32).value)
                if entry.type & ondisk.OUT_OF_LINE:
                    other = self.metadata.at(start, *struct.unpack("<Q", value))
                    value = other.take(other.unpack(ondisk.U32).value)
                found[f"xattr {name}"] = value.hex()
            yield found

    def inode(self, reference: int) -> _SquashfsInode:
        stream = self.metadata.at(self.superblock.inode_table_start, reference)
        head = stream.unpack(ondisk.INODE)
        kind, extended = (head.inode_type - 1) % ondisk.EXTENDED + 1, head.inode_type > ondisk.EXTENDED
        form = FORMS.get(head.inode_type, ondisk.OTHER)
        body = stream.unpack(form)
        more: dict[str, Any] = {"links": getattr(body, "nlink", 1)}
        if kind in (ondisk.DIRECTORY, ondisk.REGULAR):
            more |= {"size": body.file_size, "start": body.start_block, "offset": body.offset}
            more["xattr"] = body.xattr if extended else ondisk.INVALID
        if kind == ondisk.DIRECTORY:
            more |= {"size": body.file_size - ondisk.DOTS, "lookups": body.i_count if extended else 0}
        elif kind == ondisk.REGULAR:
            whole, rest = divmod(body.file_size, self.superblock.block_size)
            count = whole if body.fragment != ondisk.INVALID else whole + bool(rest)
            blocks = struct.unpack(f"<{count}I", stream.take(count * 4))
            more |= {"fragment": body.fragment, "blocks": blocks}
        elif kind == ondisk.SYMLINK:
            more["target"] = os.fsdecode(stream.take(stream.unpack(ondisk.U32).value))
        elif kind in (ondisk.BLOCK_DEVICE, ondisk.CHARACTER_DEVICE):
            more["device"] = stream.unpack(ondisk.U32).value
        if "xattr" not in more and extended:
            more["xattr"] = stream.unpack(ondisk.U32).value
        uid, gid = self.ids[head.uid], self.ids[head.guid]
        return _SquashfsInode(kind, head.mode, uid, gid, head.mtime, body.inode_number, **more)

    def directory(self, inode: _SquashfsInode) -> Iterator[tuple[str, int]]:
        """Name and inode reference of each entry."""
        stream = self.metadata.at(self.superblock.directory_table_start, inode.start << 16 | inode.offset)
        left = inode.size
        while left > 0:
            header = stream.unpack(ondisk.DIR_HEADER)
            left -= ondisk.DIR_HEADER.size
            for _ in range(header.count + 1):
                offset, _, _, length = ondisk.DIR_ENTRY.struct.unpack(stream.take(ondisk.DIR_ENTRY.size))
                yield os.fsdecode(stream.take(length + 1)), header.start_block << 16 | offset
                left -= ondisk.DIR_ENTRY.size + length + 1

    def content(self, inode: _SquashfsInode) -> View:
        extents, at, left = [], inode.start, inode.size
        for block in inode.blocks:
            length = min(left, self.superblock.block_size)
            stored = block & (ondisk.UNCOMPRESSED - 1)
            extents.append(ViewSlice(self._block(at, block) if stored else None, 0, length))
            at, left = at + stored, left - length
        if inode.fragment != ondisk.INVALID and left:
            fragment = self.fragments[inode.fragment]
            extents.append(ViewSlice(self._block(fragment.start_block, fragment.size), inode.offset, left))
        return ConcatView(extents)

    def _block(self, at: int, size: int) -> View:
        stored = size & (ondisk.UNCOMPRESSED - 1)
        if size & ondisk.UNCOMPRESSED:
            return ConcatView([ViewSlice(self.view, at, stored)])
        return CompressedBlock(partial(self._decompressed, at, stored), self.superblock.block_size)

    def _decompressed(self, at: int, stored: int) -> bytes:
        return decompress(self.view.read(at, stored), self.compression, self.superblock.block_size)


def recognises(view: View) -> bool:
    return view.read(0, 4) == ondisk.MAGIC


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root."""
    image = _Squashfs(view)
    sb = image.superblock
    listing = walk(sb.root_inode, partial(_look, image))
    properties: dict[str, str | int] = {
        "made": sb.mkfs_time, "compression": image.compression, "block": sb.block_size, "flags": f"{sb.flags:#x}",
    }  # fmt: skip
    listing[HEADER] = Node("file system", properties, None, {"bytes used": sb.bytes_used})
    return listing


def _look(image: _Squashfs, reference: int) -> tuple[Node, Iterable[tuple[str, int]]]:
    inode = image.inode(reference)
    return _node(image, inode), image.directory(inode)


def _node(image: _Squashfs, inode: _SquashfsInode) -> Node:
    properties: dict[str, str | int] = {
        "mode": f"{inode.mode & 0o7777:04o}", "uid": inode.uid, "gid": inode.gid, "mtime": inode.mtime,
    }  # fmt: skip
    if inode.kind != ondisk.DIRECTORY and inode.links > 1:
        properties["links"] = inode.links
    if inode.kind == ondisk.SYMLINK:
        properties["target"] = inode.target
    if inode.kind in LETTERS:
        major, minor = decode_device(inode.device)
        properties["device"] = f"{LETTERS[inode.kind]} {major}:{minor}"
    if inode.xattr != ondisk.INVALID:
        properties |= image.xattrs[inode.xattr]
    content = image.content(inode) if inode.kind == ondisk.REGULAR else None
    place = {"inode": inode.number} | ({"index": inode.lookups} if inode.lookups else {})
    return Node(KINDS.get(inode.kind, "device"), properties, content, place)


READER = Reader("squashfs", recognises, read)
