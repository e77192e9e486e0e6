"""Inodes of erofs, in their compact and extended form. Source: fs/erofs/erofs_fs.h of the kernel."""

from __future__ import annotations

import stat
from struct import pack

from pipeline.model.tree import Directory, Entry, File, Symlink
from pipeline.writers.erofsdata import COMPRESSED, MAP_HEADER, Place

COMPACT, EXTENDED = 32, 64
"""Sizes of the two forms: the compact one has 16-bit owners, 32-bit sizes, and the superblock's time."""
SMALL, LARGE = (1 << 16) - 1, (1 << 32) - 1
KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5, stat.S_IFLNK: 7}
"""What a directory says of an entry."""
DEVICES = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def kind(entry: Entry) -> int:
    """The type bits of its mode."""
    if isinstance(entry, Directory):
        return stat.S_IFDIR
    if isinstance(entry, File):
        return stat.S_IFREG
    return stat.S_IFLNK if isinstance(entry, Symlink) else DEVICES[entry.kind]


def form(entry: Entry, size: int, links: int, time: int) -> int:
    """COMPACT, if what is to be said of `entry` fits, or EXTENDED. `time`: the superblock's."""
    small = max(entry.uid, entry.gid, links) <= SMALL and size <= LARGE and entry.mtime == time
    return COMPACT if small else EXTENDED


def record(entry: Entry, place: Place, size: int, links: int, number: int, attributes: bytes, time: int) -> bytes:
    """The inode `number` of `entry` with its attributes, and the index or table of its data."""
    mode, count = kind(entry) | entry.mode & 0o7777, (len(attributes) - 12) // 4 + 1 if attributes else 0
    if form(entry, size, links, time) == COMPACT:
        owners = pack("<HH4x", entry.uid, entry.gid)
        head = pack("<HHHHI4xII", place.layout << 1, count, mode, links, size, place.value, number) + owners
    else:
        rest = pack("<IIq4xI16x", entry.uid, entry.gid, entry.mtime, links)
        head = pack("<HHH2xQII", 1 | place.layout << 1, count, mode, size, place.value, number) + rest
    head += attributes
    if place.layout == COMPRESSED:
        head += bytes(-len(head) % 8) + MAP_HEADER
    return head + place.table
