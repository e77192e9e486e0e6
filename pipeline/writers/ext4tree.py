"""What goes into an ext4 file system, before anybody knows where: everything checked, numbered and counted."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from pipeline import tree as trees
from pipeline.digest import Digest
from pipeline.tree import EPOCH, Content, Device, Directory, Entry, File, Symlink
from pipeline.writers import Unwritable, disk, ext4dir, ext4inode, ext4layout, extents, raw
from pipeline.writers.crc32c import crc32c
from pipeline.writers.ext4dir import Leaf
from pipeline.writers.ext4layout import BLOCK, MASK

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

Part = tuple[extents.Run, bytes | Content]
"""Blocks of a file, and what they hold."""


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
    parts: dict[int, list[Part]]
    """inode -> what its blocks hold: of files, and of links that are too long for an inode."""
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
    """Number and check everything; the UUID comes from all of it. digest: the tree's, if the caller knows it."""
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
        _check(path, name, entry)
        if path:
            folders[above].append(ext4dir.entry(name, numbers[path], kinds(entry)[0]))
            if type(entry) is Directory:
                links[numbers[above]] += 1
    for path in folders:
        links[numbers[path]] += 1
        if links[numbers[path]] > MOST_LINKS:
            links[numbers[path]] = 1  # "too many to count"
    owners = {number: path for path, number in reversed(numbers.items())}
    most, owner = max((count, owners[number]) for number, count in links.items())
    if most > MOST_LINKS:
        raise Unwritable(f"{owner}: {most} names; ext4 has at most {MOST_LINKS} of one file")
    leaves = {path: ext4dir.leaves(each, hash_seed) for path, each in folders.items()}
    parts = {number: found for number, path in owners.items() if (found := _parts(whole[path]))}
    attributes = _attributes(whole, owners)
    return Contents(whole, numbers, owners, links, leaves, parts, attributes, identity, hash_seed, journal)


def _attributes(tree: Mapping[str, Entry], owners: Mapping[int, str]) -> list[tuple[bytes, list[int]]]:
    """Blocks for attributes that do not fit into their inode."""
    users: dict[bytes, list[int]] = {}
    for number, path in owners.items():
        xattrs = tree[path].xattrs
        if xattrs and ext4inode.inside(xattrs) is None:
            users.setdefault(ext4inode.outside(xattrs, path), []).append(number)
    most = ext4inode.MOST_SHARED
    return [(block, many[at : at + most]) for block, many in users.items() for at in range(0, len(many), most)]


def _parts(entry: Entry) -> list[Part]:
    """What the blocks of `entry` hold, if it is no directory."""
    if type(entry) is File:
        content = entry.content
        if len(content) == 1 and content[0].blob and content[0].length:  # as most have
            return [(extents.Run(0, -(-content[0].length // BLOCK)), content)]
        return list(extents.held(content, BLOCK))
    if type(entry) is Symlink and len(target := raw(entry.target)) > LONGEST_FAST:
        return [(extents.Run(0, 1), target)]
    return []


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


def _check(path: str, name: bytes, entry: Entry) -> None:
    """Unwritable for what ext4 has no form for."""
    if len(name) > LONGEST_NAME:
        raise Unwritable(f"{path}: a name of more than {LONGEST_NAME} bytes")
    if type(entry) is Symlink and not 0 < len(raw(entry.target)) <= LONGEST_TARGET:
        raise Unwritable(f"{path}: a link's target has 1 to {LONGEST_TARGET} bytes")
    if type(entry) is File and entry.size > LARGEST_FILE:
        raise Unwritable(f"{path}: {entry.size} bytes; ext4 holds files of at most {LARGEST_FILE}")


def kinds(entry: Entry) -> tuple[int, int]:
    """What `entry` is: in a directory, and in a mode."""
    return KINDS[entry.kind if type(entry) is Device else type(entry)]
