"""squashfs 4.0 file systems: compressed, read-only, with everything that a root file system has.

Source: Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the kernel. The order on disk is:
superblock, data and fragment blocks, inodes, directories, fragment table, id table, attribute tables. Files with the
same bytes are stored once; blocks of zeros are holes; the ends of files share fragment blocks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from struct import pack
from typing import NamedTuple

from pipeline.tree import EPOCH, Content, Directory, Entry, File, Read, Sink, Symlink, parent
from pipeline.writers import Unwritable, raw
from pipeline.writers.extents import words
from pipeline.writers.squashdata import BLOCK, BLOCK_LOG, Data, Place
from pipeline.writers.squashmeta import Metadata, listing

VERSION = 2
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
TYPES = {"b": 4, "c": 5, "p": 6}
EXTENDED = 7
"""What the number of an inode's extended form is larger by."""
SMALL = (1 << 32) - 1
"""Sizes and places beyond this need the extended form."""
LARGEST_LISTING = 65535 - 3
"""Of a directory in the basic form."""
PAD = 4096
EMPTY = Place()


class Packing(NamedTuple):
    """How blocks are compressed: the name that the superblock says, and a function that any thread may call."""

    name: str
    compress: Callable[[bytes], bytes]


def write(tree: Mapping[str, Entry], read: Read, out: Sink, packing: Packing) -> bytes:
    """Write the ordered, complete `tree` without its first 96 bytes, the superblock; those are returned.

    Unwritable for attributes other than user.*, trusted.* and security.*.
    """
    tree = {"": Directory(0o755, 0, 0, EPOCH), **tree}
    start = out.tell()
    data = Data(read, out, packing.compress, start - SUPERBLOCK)
    image = _Image(tree, packing)
    image.places = data.write(image.contents)
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
        starts = [begin + blocks.write(records[at : at + Metadata.SIZE])[0] for at in cuts]
        out.write(blocks.finish())
        place = out.tell() - start + SUPERBLOCK
        out.write(ahead + words(array("Q", starts), "little"))
        return place

    fragment_table = listed(data.fragments) if data.fragments else NOWHERE
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
        b"hsqs", image.count, EPOCH, BLOCK, len(data.fragments) // 16, COMPRESSORS[packing.name], BLOCK_LOG, flags,
        len(image.ids), 4, 0, root, used, id_table, xattr_table, inode_table, directory_table, fragment_table, NOWHERE,
    )  # fmt: skip


class _Image:
    """Inodes, directories, ids and attributes, as they are collected from the deepest directory up."""

    def __init__(self, tree: Mapping[str, Entry], packing: Packing) -> None:
        self.inodes, self.directories, self.attributes = (Metadata(packing.compress) for _ in range(3))
        self.ids: dict[int, int] = {}
        self.xattrs: dict[object, int] = {}
        self.xattr_records = b""
        self.places: Mapping[str, Place] = {}
        self._children: dict[str, list[tuple[bytes, str, int]]] = {}
        """Of each directory: name, inode, type."""
        self._inodes: dict[str, Entry] = {}
        """Each once, under the path that stands for all names of a hard-linked file, which rules what it is."""
        self._numbers: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self._made: dict[str, int] = {}
        for path, entry in tree.items():
            name, kind = entry.inode or path if type(entry) is File else path, _type(entry)
            self._inodes.setdefault(name, entry)
            self._numbers.setdefault(name, len(self._numbers) + 1)
            self._links[name] = self._links.get(name, 0) + 1
            if kind == DIRECTORY:
                self._children[path] = []
            if path:
                above, _, last = path.rpartition("/")
                self._children[above].append((raw(last), name, kind))
        self.count = len(self._numbers)

    @property
    def contents(self) -> dict[str, Content]:
        """Of the files that are not empty."""
        found = ((name, entry) for name, entry in self._inodes.items() if type(entry) is File)
        return {name: entry.content for name, entry in found if entry.size}

    def add_all(self) -> int:
        """Add every inode; the reference of the root's is returned."""
        for path in sorted(self._children, key=lambda path: (-path.count("/") - bool(path), path)):
            self._add_directory(path)
        return self._made[""]

    def _add_directory(self, path: str) -> None:
        rows, made = [], self._made
        for last, name, kind in self._children[path]:
            if name not in made:
                made[name] = self._reference(self._leaf(name, self._inodes[name], kind))
            rows.append((last, made[name], self._numbers[name], kind))
        place, size, index = listing(self.directories, rows)
        entry = self._inodes[path]
        links = 2 + sum(kind == DIRECTORY for _, _, kind in self._children[path])
        above = self._numbers[parent(path)] if path else self.count + 1
        xattr = self._xattr(path, entry)
        if size <= LARGEST_LISTING and not index and xattr == NO_XATTRS:
            body = pack("<IIHHI", place[0], links, size + 3, place[1], above)
            record = self._common(path, entry, DIRECTORY) + body
        else:
            body = pack("<IIIIHHI", links, size + 3, place[0], above, len(index), place[1], xattr)
            record = self._common(path, entry, DIRECTORY + EXTENDED) + body + b"".join(index)
        self._made[path] = self._reference(record)

    def _leaf(self, name: str, entry: Entry, kind: int) -> bytes:
        """The inode of what is no directory."""
        links, xattr = self._links[name], self._xattr(name, entry)
        if isinstance(entry, File):
            return self._file(name, entry, links, xattr)
        plain = xattr == NO_XATTRS
        kind += 0 if plain else EXTENDED
        tail = b"" if plain else pack("<I", xattr)
        if isinstance(entry, Symlink):
            target = raw(entry.target)
            return self._common(name, entry, kind) + pack("<II", links, len(target)) + target + tail
        if isinstance(entry, Directory) or entry.kind == "p":
            return self._common(name, entry, kind) + pack("<I", links) + tail
        device = entry.minor & 0xFF | entry.major << 8 | (entry.minor & ~0xFF) << 12
        return self._common(name, entry, kind) + pack("<II", links, device) + tail

    def _file(self, name: str, entry: File, links: int, xattr: int) -> bytes:
        place, size = self.places.get(name, EMPTY), entry.size
        sizes = words(array("I", place.sizes), "little") if place.sizes else b""
        holes = place.sizes.count(0)
        if links == 1 and xattr == NO_XATTRS and not holes and max(place.start, size) <= SMALL:
            body = pack("<IIII", place.start, place.fragment, place.offset, size)
            return self._common(name, entry, REGULAR) + body + sizes
        sparse = min(holes * BLOCK, max(size - 1, 0))
        body = pack("<QQQIIII", place.start, size, sparse, links, place.fragment, place.offset, xattr)
        return self._common(name, entry, REGULAR + EXTENDED) + body + sizes

    def _common(self, name: str, entry: Entry, kind: int) -> bytes:
        ids, mtime = self.ids, min(max(entry.mtime, 0), LATEST)
        owner, group = ids.setdefault(entry.uid, len(ids)), ids.setdefault(entry.gid, len(ids))
        if len(ids) > MOST_IDS:
            raise Unwritable(f"{name}: squashfs holds at most {MOST_IDS} different owners")
        return pack("<HHHHII", kind, entry.mode & 0o7777, owner, group, mtime, self._numbers[name])

    def _reference(self, record: bytes) -> int:
        block, offset = self.inodes.write(record)
        return block << 16 | offset

    def _xattr(self, name: str, entry: Entry) -> int:
        """The number of the entry's set of attributes; equal sets are stored once."""
        if not entry.xattrs:
            return NO_XATTRS
        if entry.xattrs not in self.xattrs:
            pairs = [_pair(name, key, value) for key, value in sorted(entry.xattrs)]
            block, offset = self.attributes.write(b"".join(pairs))
            self.xattr_records += pack("<QII", block << 16 | offset, len(pairs), sum(map(len, pairs)))
            self.xattrs[entry.xattrs] = len(self.xattrs)
        return self.xattrs[entry.xattrs]


def _pair(path: str, key: str, value: bytes) -> bytes:
    for prefix, number in PREFIXES.items():
        if key.startswith(prefix):
            name = raw(key[len(prefix) :])
            return pack("<HH", number, len(name)) + name + pack("<I", len(value)) + value
    raise Unwritable(f"{path}: squashfs has no place for the attribute {key}; it holds {', '.join(PREFIXES)}…")


def _type(entry: Entry) -> int:
    if isinstance(entry, Directory):
        return DIRECTORY
    if isinstance(entry, File):
        return REGULAR
    return SYMLINK if isinstance(entry, Symlink) else TYPES[entry.kind]
