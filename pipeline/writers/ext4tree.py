"""What goes into an ext4 file system, before anybody knows where: everything checked, numbered and counted."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from pipeline import tree as trees
from pipeline.digest import Digest
from pipeline.tree import EPOCH, Content, Device, Directory, Entry, File, Symlink, length
from pipeline.writers import Unwritable, disk, ext4dir, ext4inode, ext4layout, extents, raw
from pipeline.writers.crc32c import crc32c
from pipeline.writers.ext4dir import Leaf
from pipeline.writers.ext4inode import LONGEST
from pipeline.writers.ext4layout import BLOCK, MASK
from pipeline.writers.extents import Run

FIRST_NUMBER = {"": 2, "lost+found": ext4layout.FIRST_INODE}
LARGEST_FILE = ((1 << 32) - 1) * BLOCK
LONGEST_NAME, LONGEST_TARGET, LONGEST_FAST, LONGEST_LABEL = 255, BLOCK - 1, 59, 16
"""Bytes; a target of up to 59 lies in the inode."""
MOST_LINKS = 65000
KINDS: dict[object, tuple[int, int]] = {
    "c": (3, stat.S_IFCHR), "b": (4, stat.S_IFBLK), "p": (5, stat.S_IFIFO),
    File: (1, stat.S_IFREG), Directory: (2, stat.S_IFDIR), Symlink: (7, stat.S_IFLNK),
}  # fmt: skip
"""Type in a directory, type in a mode."""


class Contents(NamedTuple):
    """What is to be written, before anybody knows where."""

    tree: Mapping[str, Entry]
    numbers: dict[str, int]
    """path -> inode, the same for all names of a file."""
    owners: dict[int, str]
    """inode -> the first of its names."""
    links: dict[int, int]
    leaves: dict[str, list[Leaf]]
    """Of each directory."""
    sizes: dict[int, int]
    """inode -> bytes of what is in one piece and not too long for one extent, as nearly everything is: directories,
    then files, and links that are too long for an inode."""
    data: dict[int, bytes | Content]
    """What those files and links hold."""
    runs: dict[int, list[Run]]
    """inode -> blocks of a directory or file that is not so."""
    parts: dict[int, list[Content]]
    """What those of a file hold."""
    attributes: list[tuple[bytes, list[int]]]
    """Blocks of attributes that do not fit into an inode, and the inodes that each is for; equal ones share theirs."""
    identity: UUID
    hash_seed: bytes
    journal: int
    """Blocks."""

    @property
    def seed(self) -> int:
        """What the checksums start with."""
        return crc32c(MASK, self.identity.bytes)


def numbered(tree: Mapping[str, Entry], settings: str, journal: int, digest: Digest | None = None) -> Contents:
    """Number and check everything; the UUID comes from all of it. digest: what names the tree, if known."""
    identity = disk.identity(f"ext4 {settings} {digest or Digest.of(trees.dump(tree))}")
    hash_seed = disk.identity(f"ext4 directories {identity}").bytes
    added: dict[str, Entry] = {"": Directory(0o755, 0, 0, EPOCH), "lost+found": Directory(0o700, 0, 0, EPOCH)}
    whole = added | dict(tree)
    if type(whole["lost+found"]) is not Directory:
        raise Unwritable("lost+found: ext4 wants a directory of that name for what is found when it is repaired")
    numbers = _numbers(whole)
    links = Counter(numbers.values())
    folders: dict[str, list[bytes]] = {path: [] for path, entry in whole.items() if type(entry) is Directory}
    for path, entry in whole.items():
        above, _, text = path.rpartition("/")
        name = raw(text)
        if len(name) > LONGEST_NAME:
            raise Unwritable(f"{path}: a name of more than {LONGEST_NAME} bytes")
        if path:
            folders[above].append(ext4dir.entry(name, numbers[path], kinds(entry)[0]))
            if type(entry) is Directory:
                links[numbers[above]] += 1
    for path in folders:
        links[numbers[path]] += 1
        if links[numbers[path]] > MOST_LINKS:
            links[numbers[path]] = 1  # "too many to count"
    owners: dict[int, str] = {}
    for path, number in numbers.items():
        owners.setdefault(number, path)
    most = max(links, key=links.__getitem__)
    if links[most] > MOST_LINKS:
        raise Unwritable(f"{owners[most]}: {links[most]} names; ext4 has at most {MOST_LINKS} of one file")
    leaves = {path: ext4dir.leaves(each, hash_seed) for path, each in folders.items()}
    counts = {numbers[path]: ext4dir.count(found, path) for path, found in leaves.items()}
    attributes = _attributes(whole, owners)
    held = _held(whole, owners, counts)
    return Contents(whole, numbers, owners, links, leaves, *held, attributes, identity, hash_seed, journal)


def _attributes(tree: Mapping[str, Entry], owners: Mapping[int, str]) -> list[tuple[bytes, list[int]]]:
    """Blocks for attributes that do not fit into their inode."""
    users: dict[bytes, list[int]] = {}
    for number, path in owners.items():
        xattrs = tree[path].xattrs
        if xattrs and ext4inode.inside(xattrs) is None:
            users.setdefault(ext4inode.outside(xattrs, path), []).append(number)
    most = ext4inode.MOST_SHARED
    return [(block, many[at : at + most]) for block, many in users.items() for at in range(0, len(many), most)]


def _held(
    tree: Mapping[str, Entry], owners: Mapping[int, str], folders: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, bytes | Content], dict[int, list[Run]], dict[int, list[Content]]]:
    """What takes blocks: `sizes`, `data`, `runs` and `parts` of Contents. folders: the blocks of directories."""
    sizes = {number: count * BLOCK for number, count in folders.items() if count <= LONGEST}
    runs = {number: [Run(0, count)] for number, count in folders.items() if count > LONGEST}
    data: dict[int, bytes | Content] = {}
    parts: dict[int, list[Content]] = {}
    for number, path in owners.items():
        entry = tree[path]
        if type(entry) is File:
            size = length(entry.content)
            if size > LARGEST_FILE:
                raise Unwritable(f"{path}: {size} bytes; ext4 holds files of at most {LARGEST_FILE}")
            if _whole(entry.content, size):
                sizes[number], data[number] = size, entry.content
            elif held := list(extents.held(entry.content, BLOCK)):
                runs[number], parts[number] = [run for run, _ in held], [part for _, part in held]
        elif type(entry) is Symlink:
            target = raw(entry.target)
            if not 0 < len(target) <= LONGEST_TARGET:
                raise Unwritable(f"{path}: a link's target has 1 to {LONGEST_TARGET} bytes")
            if len(target) > LONGEST_FAST:
                sizes[number], data[number] = len(target), target
    return sizes, data, runs, parts


def _whole(content: Content, size: int) -> bool:
    """Whether none of the blocks of `content` is a hole, and one extent is enough for them."""
    if not 0 < size <= LONGEST * BLOCK:
        return False
    if len(content) == 1:  # as most have
        return content[0].blob is not None
    return extents.runs(content, BLOCK) == [(0, -(-size // BLOCK))]


def _numbers(tree: Mapping[str, Entry]) -> dict[str, int]:
    """path -> inode, in the tree's order."""
    numbers = dict(FIRST_NUMBER)
    shared: dict[str, int] = {}
    free = ext4layout.FIRST_INODE + 1
    for path, entry in tree.items():
        group = entry.inode if type(entry) is File and entry.inode else path
        if path not in numbers:
            numbers[path] = shared.setdefault(group, free)
            free += numbers[path] == free
    return numbers


def kinds(entry: Entry) -> tuple[int, int]:
    """What `entry` is: in a directory, and in a mode."""
    return KINDS[entry.kind if type(entry) is Device else type(entry)]
