"""Inodes of erofs, in their compact and extended form. Source: fs/erofs/erofs_fs.h of the kernel."""

from __future__ import annotations

import stat

from pipeline.model.tree import Directory, Entry, File, Symlink
from pipeline.ondisk import erofs as ondisk
from pipeline.writers.erofsdata import MAP_HEADER, DataLayout

SMALL, LARGE = (1 << 16) - 1, (1 << 32) - 1
KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5, stat.S_IFLNK: 7}
"""Types of directory entries (file_type)."""
DEVICES = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def kind(entry: Entry) -> int:
    """The type bits of its mode."""
    if isinstance(entry, Directory):
        return stat.S_IFDIR
    if isinstance(entry, File):
        return stat.S_IFREG
    return stat.S_IFLNK if isinstance(entry, Symlink) else DEVICES[entry.kind]


def record(entry: Entry, place: DataLayout, size: int, links: int, number: int, attributes: bytes, time: int) -> bytes:
    """The inode `number` of `entry` with its attributes, and the index or table of its data. time: the superblock's."""
    count = (len(attributes) - ondisk.XATTR_IBODY_HEADER.size) // 4 + 1 if attributes else 0
    compact = max(entry.uid, entry.gid, links) <= SMALL and size <= LARGE and entry.mtime == time
    form, more = (ondisk.COMPACT, {}) if compact else (ondisk.EXTENDED, {"i_mtime": entry.mtime})
    head = form.pack(
        i_format=place.layout << 1 | (not compact), i_xattr_icount=count, i_mode=kind(entry) | entry.mode & 0o7777,
        i_nlink=links, i_size=size, i_u=place.value, i_ino=number, i_uid=entry.uid, i_gid=entry.gid, **more,
    )  # fmt: skip
    head += attributes
    if place.layout == ondisk.COMPRESSED_FULL:
        head += bytes(-len(head) % 8) + MAP_HEADER
    return head + place.table
