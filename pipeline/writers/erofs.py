"""erofs file systems: read-only, with data uncompressed (taken by reference) or compressed with LZ4.

Source: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of the kernel. The order on disk is: superblock,
data of files, inodes (followed by ends of files, attributes and indexes), directories, shared attributes. Equal files
are stored once. Linux 5.15 reads all of it, except that compressed files which share their bytes take 6.1; a feature
flag makes older kernels refuse them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.model.tree import EPOCH, Compress, Device, Directory, Entry, File, Read, Sink, Symlink, length, parent
from pipeline.ondisk import encode_device
from pipeline.ondisk import erofs as ondisk
from pipeline.writers import TooLarge, limits, raw
from pipeline.writers.crc32c import ONES, crc32c
from pipeline.writers.disk import identity
from pipeline.writers.erofsdata import BLOCK, BLOCK_LOG, LARGEST_CLUSTER, MOST_BLOCKS, Data, DataLayout, check_blocks
from pipeline.writers.erofsinode import KINDS, kind, record
from pipeline.writers.erofsmeta import Attributes, DirectoryBlocks, Name, Shelf

VERSION = 2
LZ4_DISTANCE = 65535
"""Maximum distance of a reference back, in bytes, in LZ4."""
LARGEST_FILE = MOST_BLOCKS * BLOCK
"""Maximum size of a file, in bytes, its holes included (MOST_BLOCKS)."""
ATTRIBUTES = 12
"""Bytes that fsck.erofs 1.5 reads after every inode, with or without attributes: the image is long enough."""


def write(tree: Mapping[str, Entry], read: Read, out: Sink, pack: Compress | None) -> bytes:
    """Writes the ordered, complete `tree` without its first block, which is returned.

    pack: compresses extents of files with `erofsdata.compress_extent`, in order; None to store them as they are.
    FormatError for names and attributes that erofs cannot hold.
    """
    begin = out.tell() - BLOCK

    def here() -> int:
        return (out.tell() - begin) >> BLOCK_LOG

    tree = {"": Directory(0o755, 0, 0, EPOCH), **tree}
    limits.check(tree, "erofs")
    image = _Inodes(tree)
    data = Data(read, out, BLOCK, pack)
    contents = {path: entry.content for path, entry in image.inodes.items() if isinstance(entry, File) and entry.size}
    for path, content in contents.items():
        if length(content) > LARGEST_FILE:
            raise TooLarge(path, length(content), "erofs", LARGEST_FILE)
    image.places = data.write(contents, image.room)
    metadata, written = here(), hashlib.sha256()
    for piece in image.pieces(metadata, read):
        written.update(piece)
        out.write(piece)
    attributes = here()
    out.write(image.attributes.shared)
    out.zeros(-len(image.attributes.shared) % BLOCK)
    check_blocks(here(), 0)
    name = identity(f"erofs {written.hexdigest()}", *contents.values()).bytes
    return _first_block(image, data.shared, name, metadata, attributes, here())


def _first_block(image: _Inodes, shared: bool, name: bytes, metadata: int, attributes: int, blocks: int) -> bytes:
    layouts = {place.layout for place in image.places.values()}
    features = (ondisk.CHUNKED_FILE if ondisk.CHUNK_BASED in layouts else 0) | (ondisk.DEDUPE if shared else 0)
    settings = b""
    if ondisk.COMPRESSED_FULL in layouts:
        features |= ondisk.ZERO_PADDING | ondisk.BIG_PCLUSTER
        settings = ondisk.LZ4_CFGS.pack(max_distance=LZ4_DISTANCE, max_pclusterblks=LARGEST_CLUSTER)
    fields = ondisk.SUPERBLOCK.pack(
        feature_compat=ondisk.SB_CHKSUM | ondisk.MTIME, feature_incompat=features, blkszbits=BLOCK_LOG, blocks=blocks,
        root_nid=image.nids[""], inos=len(image.inodes), build_time=image.time, meta_blkaddr=metadata,
        xattr_blkaddr=attributes, uuid=name, available_compr_algs=1 << ondisk.LZ4 if settings else 0,
    )  # fmt: skip
    data = bytearray((fields + settings).ljust(BLOCK - ondisk.SUPERBLOCK_OFFSET, b"\0"))
    ondisk.SUPERBLOCK.patch(data, checksum=crc32c(ONES, data))
    return bytes(ondisk.SUPERBLOCK_OFFSET) + data


class _Inodes:
    """Inodes and directories: first their sizes, then their places, then their bytes.

    inodes: each entry once, under one path for all names of a hard-linked file.
    """

    def __init__(self, tree: Mapping[str, Entry]) -> None:
        self.inodes: dict[str, Entry] = {}
        self.places: dict[str, DataLayout] = {}
        self.nids: dict[str, int] = {}
        self._links: Counter[str] = Counter()
        names: dict[str, list[Name]] = {}
        for path, entry in tree.items():
            inode = _inode_path(path, entry)
            self.inodes.setdefault(inode, entry)
            self._links[inode] += 1
            if isinstance(entry, Directory):
                names[path] = [Name(b".", path, 2), Name(b"..", parent(path), 2)]
                self._links.update((path, parent(path)) if path else ("",))
            if path:
                names[parent(path)].append(Name(raw(path.rpartition("/")[2]), inode, KINDS[kind(entry)]))
        self._listings = {path: DirectoryBlocks(each) for path, each in names.items()}
        self._numbers = {inode: number for number, inode in enumerate(self.inodes, 1)}
        self.attributes = Attributes(self.inodes)
        times = Counter(entry.mtime for entry in self.inodes.values())
        self.time = max(times, key=lambda time: (times[time], time))
        """The commonest: an inode that has another is larger."""

    def room(self, path: str) -> int:
        """Returns the bytes that fit after the inode of `path` in its block."""
        return BLOCK - ondisk.EXTENDED.size - len(self.attributes.of(self.inodes[path]))

    def pieces(self, start: int, read: Read) -> Iterator[bytes]:
        """Yields the inodes, which begin at block `start` of the image, then the blocks of directories."""
        shelf, offsets, apart, records = Shelf(), dict[str, int](), list[str](), dict[str, bytes]()
        for path, entry in self.inodes.items():
            if path not in self.places:
                self.places[path] = self._place(path, entry)
                apart += [path] if self.places[path].blocks else []
            records[path] = self._record(path)
            offsets[path] = shelf.take(len(records[path]) + self._tail(path))
        self.nids = {path: offset // ondisk.SLOT for path, offset in offsets.items()}
        end = start + shelf.blocks
        for path in apart:
            place = self.places[path]
            place.start, end = check_blocks(end, place.blocks), end + place.blocks
            records[path] = self._record(path)
        at = 0
        for path, offset in sorted(offsets.items(), key=lambda item: item[1]):
            piece = b"".join((bytes(offset - at), records[path], self._ending(path, read)))
            at += len(piece)
            yield piece
        rest = shelf.blocks * BLOCK - at
        yield bytes(rest if rest >= ATTRIBUTES or apart else rest + BLOCK)
        for path, entry in self.inodes.items():
            for number in range(0 if isinstance(entry, File | Device) else self.places[path].blocks):
                yield self._block(path, number).ljust(BLOCK, b"\0")

    def _size(self, path: str) -> int:
        entry = self.inodes[path]
        if isinstance(entry, Directory):
            return self._listings[path].size
        return entry.size if isinstance(entry, File) else len(raw(getattr(entry, "target", "")))

    def _place(self, path: str, entry: Entry) -> DataLayout:
        """Returns the layout of an entry that has nothing in the data area."""
        if isinstance(entry, Device):
            return DataLayout(ondisk.FLAT_PLAIN, encode_device(entry.major, entry.minor))
        size = self._size(path)
        whole, rest = max(size - 1, 0) // BLOCK, (size - 1) % BLOCK + 1
        if isinstance(entry, File):
            return DataLayout(ondisk.FLAT_PLAIN, 0)
        if rest <= self.room(path):
            return DataLayout(ondisk.FLAT_INLINE, blocks=whole)
        return DataLayout(ondisk.FLAT_PLAIN, blocks=whole + 1)

    def _record(self, path: str) -> bytes:
        entry = self.inodes[path]
        attributes, links = self.attributes.of(entry), self._links[path]
        return record(entry, self.places[path], self._size(path), links, self._numbers[path], attributes, self.time)

    def _tail(self, path: str) -> int:
        """Returns the number of bytes of the inode's data that are stored after it."""
        place = self.places[path]
        return self._size(path) - place.blocks * BLOCK if place.layout == ondisk.FLAT_INLINE else 0

    def _ending(self, path: str, read: Read) -> bytes:
        """Returns those bytes."""
        place = self.places[path]
        if place.layout != ondisk.FLAT_INLINE:
            return b""
        return b"".join(read(place.tail)) if place.tail else self._block(path, place.blocks)

    def _block(self, path: str, number: int) -> bytes:
        """Returns a block of a directory or of a link's target."""
        entry = self.inodes[path]
        return raw(entry.target) if isinstance(entry, Symlink) else self._listings[path].block(number, self.nids)


def _inode_path(path: str, entry: Entry) -> str:
    """Returns the one path that stands for all names of a hard-linked file."""
    return entry.inode if isinstance(entry, File) and entry.inode else path
