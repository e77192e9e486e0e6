"""erofs, as it is or with LZ4 (kernel: Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h)."""

from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from pipeline.compression import compress
from pipeline.ondisk import decode_device
from pipeline.ondisk import erofs as ondisk
from pipeline.readers import HEADER, LARGEST_DIRECTORY, Listing, Node, Reader, StructureError, walk
from pipeline.readers import erofs_index as index
from pipeline.readers.view import CompressedBlock, ConcatView, View, ViewSlice, subview

KNOWN = ondisk.ZERO_PADDING | ondisk.BIG_PCLUSTER | ondisk.CHUNKED_FILE | ondisk.COMPR_HEAD2 | ondisk.DEDUPE
COMPRESSED = (ondisk.COMPRESSED_FULL, ondisk.COMPRESSED_COMPACT)
LARGEST_TABLE = 16 << 20
LARGEST_EXTENT = 64 << 20
LONGEST_LINK = 1 << 16
LETTERS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p", stat.S_IFSOCK: "s"}
PREFIXES = {number: name for name, number in ondisk.PREFIXES.items()} | {5: "lustre."}


class _ErofsInode(NamedTuple):
    nid: int
    layout: int
    fields: Any
    """An ondisk.COMPACT or EXTENDED."""
    mtime: int
    attributes: int
    """Offset of the extended attributes; they end at `behind`."""
    behind: int


class _Erofs:
    """An image whose superblock was read."""

    def __init__(self, view: View) -> None:
        self.superblock = sb = ondisk.SUPERBLOCK.unpack(view.read(ondisk.SUPERBLOCK_OFFSET, ondisk.SUPERBLOCK.size))
        if not 9 <= sb.blkszbits <= 16 or sb.feature_incompat & ~KNOWN:
            raise StructureError("an erofs with unknown features")
        self.view = view
        self.block = 1 << sb.blkszbits

    def inode(self, nid: int) -> _ErofsInode:
        at = self.superblock.meta_blkaddr * self.block + nid * ondisk.SLOT
        data = self.view.read(at, ondisk.EXTENDED.size)
        form = ondisk.EXTENDED if data[0] & 1 else ondisk.COMPACT
        fields: Any = form.unpack(data)
        mtime = fields.i_mtime if form is ondisk.EXTENDED else self.superblock.build_time
        start, count = at + form.size, fields.i_xattr_icount
        behind = start + (ondisk.XATTR_IBODY_HEADER.size + (count - 1) * 4 if count else 0)
        return _ErofsInode(nid, fields.i_format >> 1 & 7, fields, mtime, start, behind)

    def content(self, inode: _ErofsInode) -> View:
        """The bytes of a file, directory or link."""
        size, block = inode.fields.i_size, self.block
        if inode.layout == ondisk.FLAT_PLAIN:
            return subview(self.view, inode.fields.i_u * block, size)
        if inode.layout == ondisk.FLAT_INLINE:
            whole = size // block * block
            parts = (
                ViewSlice(self.view, inode.fields.i_u * block, whole),
                ViewSlice(self.view, inode.behind, size - whole),
            )
            return ConcatView(parts)
        if inode.layout == ondisk.CHUNK_BASED:
            return ConcatView(self._chunks(inode))
        if inode.layout in COMPRESSED and self.superblock.feature_incompat & ondisk.ZERO_PADDING:
            start = -(-inode.behind // 8) * 8
            found = index.extents(self.view, start, size, block, inode.layout == ondisk.COMPRESSED_COMPACT)
            return ConcatView(map(self._extent, found))
        raise StructureError(f"data of layout {inode.layout}")

    def _chunks(self, inode: _ErofsInode) -> Iterator[ViewSlice]:
        chunk = self.block << (inode.fields.i_u & 31)
        width = 8 if inode.fields.i_u & ondisk.CHUNK_INDEXES else 4
        count = -(-inode.fields.i_size // chunk)
        if count * width > LARGEST_TABLE:
            raise StructureError("a table of that size")
        table = self.view.read(-(-inode.behind // width) * width, count * width)
        left = inode.fields.i_size
        for (start,) in struct.iter_unpack("<4xI" if width == 8 else "<I", table):
            hole = start == ondisk.NULL_ADDR
            yield ViewSlice(None if hole else self.view, 0 if hole else start * self.block, min(chunk, left))
            left -= chunk

    def _extent(self, extent: index.Extent) -> ViewSlice:
        length, at = extent.end - extent.begin, extent.start * self.block
        if not extent.packed:
            return ViewSlice(self.view, at, length)
        if length > LARGEST_EXTENT:
            raise StructureError("an extent of that size")
        return ViewSlice(
            CompressedBlock(partial(self._decompressed, at, extent.blocks * self.block, length), length), 0, length
        )

    def _decompressed(self, at: int, stored: int, length: int) -> bytes:
        return bytes(
            compress.lz4_block().decompress(self.view.read(at, stored).lstrip(b"\0"), uncompressed_size=length)
        )

    def names(self, inode: _ErofsInode) -> Iterator[tuple[str, int]]:
        """Yields name and number of each entry of a directory, without `.` and `..`."""
        if inode.fields.i_size > LARGEST_DIRECTORY:
            raise StructureError("a directory of that size")
        data = self.content(inode)
        for at in range(0, inode.fields.i_size, self.block):
            block = data.read(at, self.block)
            first = ondisk.DIRENT.unpack(block).nameoff
            rows = list(ondisk.DIRENT.struct.iter_unpack(block[: first // ondisk.DIRENT.size * ondisk.DIRENT.size]))
            ends = [row[1] for row in rows[1:]] + [len(block)]
            for (nid, start, *_), end in zip(rows, ends, strict=True):
                name = block[start:end].partition(b"\0")[0]
                if name not in (b".", b".."):
                    yield os.fsdecode(name), nid

    def xattrs(self, inode: _ErofsInode) -> Iterator[tuple[str, str]]:
        if inode.attributes == inode.behind:
            return
        data = self.view.read(inode.attributes, inode.behind - inode.attributes)
        start = ondisk.XATTR_IBODY_HEADER.size
        rest = start + ondisk.XATTR_IBODY_HEADER.unpack(data).h_shared_count * 4
        for (number,) in struct.iter_unpack("<I", data[start:rest]):
            place = self.superblock.xattr_blkaddr * self.block + number * 4
            yield _pair(self.view.read(place, 4 + 255 + 65535))[0]
        data = data[rest:]
        while len(data) >= 4 and data[:4] != bytes(4):
            pair, size = _pair(data)
            yield pair
            data = data[-(-size // 4) * 4 :]


def _pair(data: bytes) -> tuple[tuple[str, str], int]:
    """The attribute that `data` starts with, and its size."""
    entry, start = ondisk.XATTR_ENTRY.unpack(data), ondisk.XATTR_ENTRY.size
    value, end = start + entry.e_name_len, start + entry.e_name_len + entry.e_value_size
    prefix = PREFIXES.get(entry.e_name_index, f"({entry.e_name_index}) ")
    return (prefix + os.fsdecode(data[start:value]), data[value:end].hex()), end


def recognises(view: View) -> bool:
    return view.read(ondisk.SUPERBLOCK_OFFSET, 4) == ondisk.MAGIC.to_bytes(4, "little")


def read(view: View) -> Listing:
    """Every entry, parents before children; `.` is the root."""
    image = _Erofs(view)
    sb = image.superblock
    listing = walk(sb.root_nid, partial(_look, image))
    properties: dict[str, str | int] = {
        "made": sb.build_time, "inodes": sb.inos, "features": f"{sb.feature_incompat:#x} {sb.feature_compat:#x}",
        "identity": str(uuid.UUID(bytes=sb.uuid)), "name": sb.volume_name.rstrip(b"\0").decode("latin-1"),
    }  # fmt: skip
    place: dict[str, str | int] = {"blocks": sb.blocks, "metadata": sb.meta_blkaddr, "checksum": sb.checksum}
    listing[HEADER] = Node("file system", properties, None, place)
    return listing


def _look(image: _Erofs, nid: int) -> tuple[Node, Iterable[tuple[str, int]]]:
    inode = image.inode(nid)
    return _node(image, inode), image.names(inode)


def _node(image: _Erofs, inode: _ErofsInode) -> Node:
    kind = stat.S_IFMT(inode.fields.i_mode)
    properties: dict[str, str | int] = {
        "mode": f"{inode.fields.i_mode & 0o7777:04o}", "uid": inode.fields.i_uid, "gid": inode.fields.i_gid,
        "mtime": inode.mtime,
    }  # fmt: skip
    if kind != stat.S_IFDIR and inode.fields.i_nlink > 1:
        properties["links"] = inode.fields.i_nlink
    properties |= {f"xattr {name}": value for name, value in image.xattrs(inode)}
    place: dict[str, str | int] = {"inode": inode.nid, "layout": inode.layout}
    if kind == stat.S_IFDIR:
        return Node("directory", properties, None, place)
    if kind == stat.S_IFREG:
        return Node("file", properties, image.content(inode), place)
    if kind == stat.S_IFLNK and inode.fields.i_size <= LONGEST_LINK:
        properties["target"] = os.fsdecode(image.content(inode).read(0, inode.fields.i_size))
        return Node("symlink", properties, None, place)
    major, minor = decode_device(inode.fields.i_u)
    properties["device"] = f"{LETTERS.get(kind, '?')} {major}:{minor}"
    return Node("device", properties, None, place)


READER = Reader("erofs", recognises, read)
