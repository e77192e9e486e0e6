"""squashfs 4.0 file systems: compressed, read-only, with everything that a root file system has.

Source: Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the kernel. The order on disk is:
superblock, data and fragment blocks, inodes, directories, fragment table, id table, attribute tables. Files with the
same bytes are stored once; blocks of zeros are holes; the ends of files share fragment blocks.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from struct import pack
from typing import NamedTuple

from pipeline.model.tree import (
    EPOCH,
    Compress,
    Content,
    Device,
    Directory,
    Entry,
    File,
    Read,
    Sink,
    Symlink,
    Transform,
    length,
    parent,
)
from pipeline.ondisk import encode_device
from pipeline.ondisk import squashfs as ondisk
from pipeline.writers import FormatError, TooLarge, canonical_hard_links, limits, raw, squashdata
from pipeline.writers.carried import Carried
from pipeline.writers.extents import to_bytes
from pipeline.writers.squashdata import BLOCK, BLOCK_LOG, BlockList
from pipeline.writers.squashmeta import Metadata, Row, listing

VERSION = 4
LATEST = (1 << 32) - 1
"""Latest time stamp, in seconds since 1970 (squashfs_fs.h, mtime: 32 bits). One outside 1970 to 2106 is moved to the
nearest end."""
CARRIED = Carried("squashfs", tuple(ondisk.PREFIXES), 0, LATEST, refuses=True)
MOST_IDS = 65535
"""Maximum number of different user and group ids (squashfs_fs.h, no_ids: 16 bits)."""
LARGEST_FILE = ((1 << 31) - 1) * BLOCK
"""Maximum size of a file, in bytes: the kernel numbers its blocks with 31 bits (fs/squashfs/file.c, an `int`)."""
MOST_INDEXES = (1 << 16) - 1
"""Maximum number of groups of names that a directory's index lists (squashfs_fs.h, i_count: 16 bits). A group has up to
256 names, whose inodes lie together."""
TYPES = {"b": ondisk.BLOCK_DEVICE, "c": ondisk.CHARACTER_DEVICE, "p": ondisk.FIFO}
SMALL = (1 << 32) - 1
"""Sizes and places beyond this need the extended form."""
LARGEST_LISTING = 65535 - ondisk.DOTS
"""Maximum size of a directory's listing in the basic form, in bytes."""
PAD = 4096
EMPTY = BlockList()


class Packing(NamedTuple):
    """The compression of blocks.

    name: the compressor in the superblock. compress: compresses blocks. make: compresses contents with
    `squashdata.compress_blocks`.
    """

    name: str
    compress: Transform
    make: Compress


def write(tree: Mapping[str, Entry], read: Read, out: Sink, packing: Packing) -> bytes:
    """Writes the ordered, complete `tree` without its first 96 bytes, the superblock, which are returned.

    FormatError for attributes other than user.*, trusted.* and security.*, and for what squashfs cannot hold.
    """
    tree = {"": Directory(0o755, 0, 0, EPOCH), **tree}
    limits.check(tree, "squashfs")
    origin = out.tell() - ondisk.SUPERBLOCK.size
    contents = _contents(tree)
    image, fragments = _Tables(tree, packing), bytearray()
    with closing(squashdata.write(contents, read, out, packing.make, origin, fragments)) as places:
        for path, entry in canonical_hard_links(tree):  # while threads compress what comes next
            image.add(path, entry, next(places) if path in contents else EMPTY)
        next(places, None)  # the last fragment block
    tables = [image.inodes.finish(), image.directories.finish()]
    offset = out.tell() - origin
    inode_table, directory_table = offset, offset + len(tables[0])
    for table in tables:
        out.write(table)

    listed = partial(_listed, out, origin, packing.compress)
    fragment_table = listed(fragments) if fragments else ondisk.INVALID_BLK
    id_table = listed(to_bytes(array("I", image.ids), "little"))
    xattr_table = ondisk.INVALID_BLK
    if image.xattrs:
        kv_start = out.tell() - origin
        out.write(image.attributes.finish())
        xattr_table = listed(image.xattr_records, ondisk.XATTR_TABLE.struct.pack(kv_start, len(image.xattrs), 0))
    used = out.tell() - origin
    out.zeros(-used % PAD)
    flags = ondisk.DUPLICATES | (0 if image.xattrs else ondisk.NO_XATTR)
    return ondisk.SUPERBLOCK.pack(
        inodes=image.count, mkfs_time=EPOCH, block_size=BLOCK, block_log=BLOCK_LOG, flags=flags,
        fragments=len(fragments) // ondisk.FRAGMENT.size, compression=ondisk.COMPRESSIONS[packing.name],
        no_ids=len(image.ids), root_inode=image.root, bytes_used=used, id_table_start=id_table,
        xattr_id_table_start=xattr_table, inode_table_start=inode_table, directory_table_start=directory_table,
        fragment_table_start=fragment_table,
    )  # fmt: skip


def _listed(out: Sink, origin: int, compress: Transform, records: bytes | bytearray, ahead: bytes = b"") -> int:
    """Writes a table as metadata blocks, then `ahead` and the list of their offsets; returns the offset of `ahead`."""
    blocks = Metadata(compress)
    begin = out.tell() - origin
    cuts = range(0, len(records), ondisk.METADATA_SIZE)
    starts = [begin + (blocks.write(records[at : at + ondisk.METADATA_SIZE]) >> 16) for at in cuts]
    out.write(blocks.finish())
    place = out.tell() - origin
    out.write(ahead + to_bytes(array("Q", starts), "little"))
    return place


@dataclass(slots=True, eq=False)
class _OpenDirectory:
    """A directory whose entries are not yet all written."""

    entry: Directory
    number: int
    left: int
    """Names in it that are still to come."""
    rows: list[Row] = field(default_factory=list)


class _Tables:
    """Inodes, directories, ids and attributes, as they are collected in the order of the tree. A directory is written
    as soon as everything in it is."""

    def __init__(self, tree: Mapping[str, Entry], packing: Packing) -> None:
        self.inodes, self.directories, self.attributes = (Metadata(packing.compress) for _ in range(3))
        self.ids: dict[int, int] = {}
        self.xattrs: dict[object, int] = {}
        self.xattr_records = b""
        self.count = 0
        self.root = 0
        """The reference of the root's inode."""
        self._names = Counter([path.rpartition("/")[0] for path in tree if path])
        self._links = Counter([entry.inode for entry in tree.values() if type(entry) is File and entry.inode])
        self._folders: dict[str, _OpenDirectory] = {}
        self._linked: dict[str, tuple[int, int]] = {}
        self._heads: dict[tuple[int, tuple[object, ...]], bytes] = {}

    def add(self, path: str, entry: Entry, place: BlockList) -> None:
        """Adds the next path of the tree. place: of a file's bytes, with its first name."""
        if isinstance(entry, File) and entry.inode in self._linked:
            self._add_name(path, *self._linked[entry.inode], ondisk.REGULAR)
            return
        self.count = number = self.count + 1
        if isinstance(entry, File):
            kind, reference = ondisk.REGULAR, self.inodes.write(self._file(path, entry, place))
            if entry.inode:
                self._linked[entry.inode] = reference, number
        elif isinstance(entry, Directory):
            self._folders[path] = _OpenDirectory(entry, number, self._names[path])
            if self._names[path]:
                return
            kind, reference = ondisk.DIRECTORY, self._directory(path)
        else:
            kind = TYPES[entry.kind] if isinstance(entry, Device) else ondisk.SYMLINK
            reference = self.inodes.write(self._other(path, entry, kind))
        self._add_name(path, reference, number, kind)

    def _add_name(self, path: str, reference: int, number: int, kind: int) -> None:
        """Adds a written inode to its directory, which is written, too, if that was its last entry."""
        while path:
            path, _, last = path.rpartition("/")
            folder = self._folders[path]
            folder.rows.append((raw(last), reference, number, kind))
            folder.left -= 1
            if folder.left:
                return
            reference, number, kind = self._directory(path), folder.number, ondisk.DIRECTORY
        self.root = reference

    def _directory(self, path: str) -> int:
        """Writes the directory `path`, everything in which was written; the reference of its inode."""
        folder = self._folders.pop(path)
        entry, number = folder.entry, folder.number
        links = 2 + sum([kind == ondisk.DIRECTORY for _, _, _, kind in folder.rows])
        place, size, index = listing(self.directories, folder.rows)
        if len(index) > MOST_INDEXES:
            names = f"names in {len(index)} groups; a directory of squashfs has room for {MOST_INDEXES}"
            raise FormatError(f"{path or 'the root'}: {names}: spread them over several directories")
        block, offset = place >> 16, place & 0xFFFF
        above = self._folders[parent(path)].number if path else self.count + 1
        if size > LARGEST_LISTING or index or entry.xattrs:
            xattr = self._xattr(path, entry)
            size += ondisk.DOTS
            record = ondisk.LARGE_DIR.struct.pack(number, links, size, block, above, len(index), offset, xattr)
            head = self._head(path, entry, ondisk.DIRECTORY + ondisk.EXTENDED)
            return self.inodes.write(head + record + b"".join(index))
        record = ondisk.DIR.struct.pack(number, block, links, size + ondisk.DOTS, offset, above)
        return self.inodes.write(self._head(path, entry, ondisk.DIRECTORY) + record)

    def _file(self, path: str, entry: File, place: BlockList) -> bytes:
        start, sizes, size = place.start, place.sizes, length(entry.content)
        holes = sizes.count(0) if sizes else 0
        if entry.inode or entry.xattrs or holes or start > SMALL or size > SMALL:
            sparse, links = min(holes * BLOCK, max(size - 1, 0)), self._links[entry.inode] or 1
            tail = links, place.fragment, place.offset, self._xattr(path, entry)
            record = self._head(path, entry, ondisk.REGULAR + ondisk.EXTENDED)
            record += ondisk.LARGE_FILE.struct.pack(self.count, start, size, sparse, *tail)
        else:
            record = self._head(path, entry, ondisk.REGULAR)
            record += ondisk.FILE.struct.pack(self.count, start, place.fragment, place.offset, size)
        return record + to_bytes(array("I", sizes), "little") if sizes else record

    def _other(self, path: str, entry: Symlink | Device, kind: int) -> bytes:
        record = self._head(path, entry, kind + ondisk.EXTENDED if entry.xattrs else kind)
        record += ondisk.OTHER.struct.pack(self.count, 1)
        if isinstance(entry, Symlink):
            target = raw(entry.target)
            record += pack("<I", len(target)) + target
        elif entry.kind != "p":
            record += pack("<I", encode_device(entry.major, entry.minor))
        return record + pack("<I", self._xattr(path, entry)) if entry.xattrs else record

    def _head(self, path: str, entry: Entry, kind: int) -> bytes:
        key = kind, entry[:4]
        if key not in self._heads:  # most are like another one
            mode, uid, gid, mtime = entry[:4]
            owner, group = (self.ids.setdefault(each, len(self.ids)) for each in (uid, gid))
            if len(self.ids) > MOST_IDS:
                room = f"squashfs has room for {MOST_IDS} of all files"
                raise FormatError(f"{path}: one more user or group id; {room}: give them fewer, or take kernel+erofs")
            self._heads[key] = ondisk.INODE.struct.pack(kind, mode & 0o7777, owner, group, min(max(mtime, 0), LATEST))
        return self._heads[key]

    def _xattr(self, path: str, entry: Entry) -> int:
        """The number of the entry's set of attributes; equal sets are stored once."""
        xattrs = entry.xattrs
        if not xattrs:
            return ondisk.INVALID
        if xattrs not in self.xattrs:
            pairs = [_pair(path, key, value) for key, value in sorted(xattrs)]
            place = self.attributes.write(b"".join(pairs))
            self.xattr_records += ondisk.XATTR_ID.struct.pack(place, len(pairs), sum(map(len, pairs)))
            self.xattrs[xattrs] = len(self.xattrs)
        return self.xattrs[xattrs]


def _contents(tree: Mapping[str, Entry]) -> dict[str, Content]:
    """Returns the contents of files that are not empty, each under the first of its names."""
    files = [(path, entry.inode or path, entry.content) for path, entry in tree.items() if type(entry) is File]
    first: dict[str, str] = {}
    found = {path: content for path, name, content in files if first.setdefault(name, path) == path and length(content)}
    for path, content in found.items():
        if length(content) > LARGEST_FILE:
            raise TooLarge(path, length(content), "squashfs", LARGEST_FILE)
    return found


def _pair(path: str, key: str, value: bytes) -> bytes:
    for prefix, number in ondisk.PREFIXES.items():
        if key.startswith(prefix):
            name = raw(key[len(prefix) :])
            return ondisk.XATTR_ENTRY.struct.pack(number, len(name)) + name + pack("<I", len(value)) + value
    room = f"squashfs has room for {', '.join(ondisk.PREFIXES)}"
    raise FormatError(f"{limits.short_path(path)}: extended attribute {key}; {room}: leave it out")
