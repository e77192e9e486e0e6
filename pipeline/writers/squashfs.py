"""squashfs 4.0 file systems: compressed, read-only, with everything that a root file system has.

Source: Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the kernel. The order on disk is:
superblock, data and fragment blocks, inodes, directories, fragment table, id table, attribute tables. Files with the
same bytes are stored once; blocks of zeros are holes; the ends of files share fragment blocks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct, pack
from typing import NamedTuple

from pipeline.tree import EPOCH, Content, Device, Directory, Entry, File, Pack, Read, Sink, Symlink, length, parent
from pipeline.writers import Unwritable, agreed, raw, squashdata
from pipeline.writers.extents import words
from pipeline.writers.squashdata import BLOCK, BLOCK_LOG, Place
from pipeline.writers.squashmeta import Metadata, listing

VERSION = 3
COMPRESSORS = {"gzip": 1, "zstd": 6}
SUPERBLOCK = 96
"""Bytes; they are known last and come first."""
NOWHERE = (1 << 64) - 1
NO_XATTRS = 0xFFFFFFFF
DUPLICATES, WITHOUT_XATTRS = 0x40, 0x200
PREFIXES = {"user.": 0, "trusted.": 1, "security.": 2}
LATEST = (1 << 32) - 1
MOST_IDS = 65535
DIRECTORY, REGULAR, SYMLINK = 1, 2, 3
KINDS = {Directory: DIRECTORY, File: REGULAR, Symlink: SYMLINK}
TYPES = {"b": 4, "c": 5, "p": 6}
EXTENDED = 7
"""What the number of an inode's extended form is larger by."""
FOLDER, LARGE_FOLDER = Struct("<HHHHIIIIHHI"), Struct("<HHHHIIIIIIHHI")
SMALL_FILE, LARGE_FILE = Struct("<HHHHIIIIII"), Struct("<HHHHIIQQQIIII")
OTHER = Struct("<HHHHIII")
"""Inodes, each from its type on; OTHER goes on by kind."""
SMALL = (1 << 32) - 1
"""Sizes and places beyond this need the extended form."""
LARGEST_LISTING = 65535 - 3
"""Of a directory in the basic form."""
PAD = 4096
EMPTY = Place()


class Packing(NamedTuple):
    """How blocks are compressed.

    name: what the superblock says. compress: makes a block smaller. make: gives for many what `squashdata.packed` makes
    of their bytes with it.
    """

    name: str
    compress: Callable[[bytes], bytes]
    make: Pack


def write(tree: Mapping[str, Entry], read: Read, out: Sink, packing: Packing) -> bytes:
    """Write the ordered, complete `tree` without its first 96 bytes, the superblock; those are returned.

    Unwritable for attributes other than user.*, trusted.* and security.*.
    """
    tree = {"": Directory(0o755, 0, 0, EPOCH), **tree}
    start = out.tell()
    places, fragments = squashdata.write(_contents(tree), read, out, packing.make, start - SUPERBLOCK)
    image = _Image(tree, places, packing)
    root = image.add_all()
    tables = [image.inodes.finish(), image.directories.finish()]
    offset = out.tell() - start + SUPERBLOCK
    inode_table, directory_table = offset, offset + len(tables[0])
    for table in tables:
        out.write(table)

    def listed(records: bytes, ahead: bytes = b"") -> int:
        """Write a table as metadata blocks, and the list of where they are; the list's place."""
        blocks = Metadata(packing.compress)
        begin = out.tell() - start + SUPERBLOCK
        cuts = range(0, len(records), Metadata.SIZE)
        starts = [begin + (blocks.write(records[at : at + Metadata.SIZE]) >> 16) for at in cuts]
        out.write(blocks.finish())
        place = out.tell() - start + SUPERBLOCK
        out.write(ahead + words(array("Q", starts), "little"))
        return place

    fragment_table = listed(fragments) if fragments else NOWHERE
    id_table = listed(words(array("I", image.ids), "little"))
    xattr_table = NOWHERE
    if image.xattrs:
        kv_start = out.tell() - start + SUPERBLOCK
        out.write(image.attributes.finish())
        xattr_table = listed(image.xattr_records, pack("<QII", kv_start, len(image.xattrs), 0))
    used = out.tell() - start + SUPERBLOCK
    out.zeros(-used % PAD)
    flags = DUPLICATES | (0 if image.xattrs else WITHOUT_XATTRS)
    return pack(
        "<4sIIIIHHHHHHQQQQQQQQ",
        b"hsqs", image.count, EPOCH, BLOCK, len(fragments) // 16, COMPRESSORS[packing.name], BLOCK_LOG, flags,
        len(image.ids), 4, 0, root, used, id_table, xattr_table, inode_table, directory_table, fragment_table, NOWHERE,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Inode:
    """What one path, or all names of a hard-linked file, stand for; the first of the names rules what it is."""

    name: str
    entry: Entry
    kind: int
    number: int
    links: int = 1
    reference: int | None = None
    """Where it was written."""


class _Image:
    """Inodes, directories, ids and attributes, as they are collected from the deepest directory up."""

    def __init__(self, tree: Mapping[str, Entry], places: Mapping[str, Place], packing: Packing) -> None:
        self.inodes, self.directories, self.attributes = (Metadata(packing.compress) for _ in range(3))
        self.ids: dict[int, int] = {}
        self.xattrs: dict[object, int] = {}
        self.xattr_records = b""
        self._places = places
        self._inodes: dict[str, _Inode] = {}
        self._children: dict[str, list[tuple[bytes, _Inode]]] = {}
        for path, entry in tree.items():
            name = entry.inode or path if type(entry) is File else path
            inode = self._inodes.get(name)
            if inode:
                inode.links += 1
            else:
                self._inodes[name] = inode = _Inode(name, entry, _type(entry), len(self._inodes) + 1)
            if inode.kind == DIRECTORY:
                self._children[path] = []
            if path:
                above, _, last = path.rpartition("/")
                self._children[above].append((raw(last), inode))

    @property
    def count(self) -> int:
        return len(self._inodes)

    def add_all(self) -> int:
        """Add every inode; the reference of the root's is returned."""
        reference = 0
        for path in sorted(self._children, key=lambda path: (-path.count("/") - bool(path), path)):
            reference = self._add_directory(self._inodes[path], self._children[path])
        return reference

    def _add_directory(self, inode: _Inode, children: list[tuple[bytes, _Inode]]) -> int:
        rows, links = [], 2
        for last, child in children:
            if child.reference is None:
                child.reference = self.inodes.write(self._leaf(child))
            rows.append((last, child.reference, child.number, child.kind))
            links += child.kind == DIRECTORY
        place, size, index = listing(self.directories, rows)
        block, offset = place >> 16, place & 0xFFFF
        above = self._inodes[parent(inode.name)].number if inode.name else self.count + 1
        xattr = self._xattr(inode)
        if size <= LARGEST_LISTING and not index and xattr == NO_XATTRS:
            record = FOLDER.pack(*self._common(inode), block, links, size + 3, offset, above)
        else:
            common = self._common(inode, EXTENDED)
            record = LARGE_FOLDER.pack(*common, links, size + 3, block, above, len(index), offset, xattr)
            record += b"".join(index)
        inode.reference = self.inodes.write(record)
        return inode.reference

    def _leaf(self, inode: _Inode) -> bytes:
        """The inode of what is no directory."""
        entry = inode.entry
        if isinstance(entry, File):
            return self._file(inode, length(entry.content))
        xattr = self._xattr(inode)
        plain = xattr == NO_XATTRS
        common = OTHER.pack(*self._common(inode, 0 if plain else EXTENDED), inode.links)
        tail = b"" if plain else pack("<I", xattr)
        if isinstance(entry, Symlink):
            target = raw(entry.target)
            return common + pack("<I", len(target)) + target + tail
        if isinstance(entry, Directory) or entry.kind == "p":
            return common + tail
        return common + pack("<I", entry.minor & 0xFF | entry.major << 8 | (entry.minor & ~0xFF) << 12) + tail

    def _file(self, inode: _Inode, size: int) -> bytes:
        place, xattr = self._places.get(inode.name, EMPTY), self._xattr(inode)
        start, sizes, fragment, offset = place.start, place.sizes, place.fragment, place.offset
        holes = sizes.count(0)
        if inode.links == 1 and xattr == NO_XATTRS and not holes and start <= SMALL and size <= SMALL:
            record = SMALL_FILE.pack(*self._common(inode), start, fragment, offset, size)
        else:
            sparse = min(holes * BLOCK, max(size - 1, 0))
            common = self._common(inode, EXTENDED)
            record = LARGE_FILE.pack(*common, start, size, sparse, inode.links, fragment, offset, xattr)
        return record + words(array("I", sizes), "little") if sizes else record

    def _common(self, inode: _Inode, form: int = 0) -> tuple[int, int, int, int, int, int]:
        """What every inode starts with."""
        mode, uid, gid, mtime = inode.entry[:4]
        if not 0 <= mtime <= LATEST:
            mtime = 0 if mtime < 0 else LATEST
        ids = self.ids
        owner, group = ids.setdefault(uid, len(ids)), ids.setdefault(gid, len(ids))
        if len(ids) > MOST_IDS:
            raise Unwritable(f"{inode.name}: squashfs holds at most {MOST_IDS} different owners")
        return inode.kind + form, mode & 0o7777, owner, group, mtime, inode.number

    def _xattr(self, inode: _Inode) -> int:
        """The number of the inode's set of attributes; equal sets are stored once."""
        xattrs = inode.entry.xattrs
        if not xattrs:
            return NO_XATTRS
        if xattrs not in self.xattrs:
            pairs = [_pair(inode.name, key, value) for key, value in sorted(xattrs)]
            place = self.attributes.write(b"".join(pairs))
            self.xattr_records += pack("<QII", place, len(pairs), sum(map(len, pairs)))
            self.xattrs[xattrs] = len(self.xattrs)
        return self.xattrs[xattrs]


def _contents(tree: Mapping[str, Entry]) -> dict[str, Content]:
    """Of the files that are not empty, each under the path that stands for all its names."""
    found = ((entry.inode or path, entry.content) for path, entry in agreed(tree) if type(entry) is File)
    return {name: content for name, content in found if length(content)}


def _pair(path: str, key: str, value: bytes) -> bytes:
    for prefix, number in PREFIXES.items():
        if key.startswith(prefix):
            name = raw(key[len(prefix) :])
            return pack("<HH", number, len(name)) + name + pack("<I", len(value)) + value
    raise Unwritable(f"{path}: squashfs has no place for the attribute {key}; it holds {', '.join(PREFIXES)}…")


def _type(entry: Entry) -> int:
    return TYPES[entry.kind] if isinstance(entry, Device) else KINDS[type(entry)]
