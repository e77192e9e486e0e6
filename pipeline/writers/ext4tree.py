"""The content of an ext4 file system before it is placed: numbered, and divided into sections.

A section (tree.sections) is laid out by itself, and again only if its entries or its start change. A directory that has
entries in another section is a **spanning** directory: all such are laid out last.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.model.columns import named
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Content, Device, Directory, Entry, File, Symlink, length, parent, sections
from pipeline.ondisk.ext4 import FIRST_INODE, LONGEST_EXTENT, ROOT_INODE
from pipeline.writers import FormatError, TooLarge, ext4dir, ext4inode, extents, limits, raw
from pipeline.writers.ext4dir import Leaf
from pipeline.writers.ext4layout import BLOCK
from pipeline.writers.extents import Run

FIRST_NUMBER = {"": ROOT_INODE, "lost+found": FIRST_INODE}
LARGEST_FILE = ((1 << 32) - 1) * BLOCK
"""Maximum size of a file, in bytes: its blocks have 32-bit numbers (ifork.rst, "Extent Tree": ee_block)."""
LONGEST_FAST, LONGEST_LABEL = 59, 16
"""Maximum length in bytes of a target that lies in the inode, and of a volume's label (super.rst, s_volume_name)."""
MOST_LINKS = 65000
"""Maximum number of names of a file (fs/ext4/ext4.h, EXT4_LINK_MAX; i_links_count has 16 bits). Directories with more
subdirectories have a count of 1 (dir_nlink)."""
KINDS: dict[object, tuple[int, int]] = {
    "c": (3, stat.S_IFCHR), "b": (4, stat.S_IFBLK), "p": (5, stat.S_IFIFO),
    File: (1, stat.S_IFREG), Directory: (2, stat.S_IFDIR), Symlink: (7, stat.S_IFLNK),
}  # fmt: skip
"""Type in a directory, type in a mode."""


class Ext4Section(NamedTuple):
    """Entries, and the data about others that their layout needs."""

    entries: Mapping[str, Entry]
    first: int
    """The inode of the first that has none of its own before; the others follow it."""
    shared: Mapping[str, tuple[int, int]]
    """Hard-linked files that also have names elsewhere: group -> inode, and the number of names."""
    above: Mapping[str, int]
    """The directories that entries are in and that are not among them -> inode."""
    spanning: tuple[str, ...]

    @property
    def name(self) -> Digest:
        """Names all of it."""
        return named(self.entries, self.first, self.shared, self.above, self.spanning)


class Contents(NamedTuple):
    """The numbered content of a section; it depends on no other section."""

    entries: Mapping[str, Entry]
    owners: dict[int, str]
    """inode -> the first of its names. Spanning directories are left out."""
    numbers: Mapping[str, int]
    above: Mapping[str, int]
    links: Mapping[int, int]
    leaves: dict[str, list[Leaf]]
    """directory -> its leaves."""
    sizes: dict[int, int]
    """inode -> bytes of contiguous content that fits an extent, as nearly all does: directories, then files, and links
    that are too long for an inode."""
    data: dict[int, bytes | Content]
    """inode -> content of those files and links."""
    runs: dict[int, list[Run]]
    """inode -> blocks of a directory or file that is not so."""
    parts: dict[int, list[Content]]
    """inode -> content of each of a file's runs."""
    attributes: list[tuple[bytes, list[int]]]
    """Blocks of attributes that do not fit into an inode, and the inodes that each is for; equal ones share theirs."""

    def number(self, directory: str) -> int:
        """The inode of a directory that is here, or has entries here."""
        return self.numbers[directory] if directory in self.numbers else self.above[directory]


class SectionedTree(NamedTuple):
    """A tree in sections."""

    tree: Mapping[str, Entry]
    """With the root and lost+found."""
    numbers: dict[str, int]
    """path -> inode, the same for all names of a file."""
    sections: list[Ext4Section]
    listings: dict[str, list[str]]
    """Spanning directory -> the paths in it."""

    @property
    def inodes(self) -> int:
        """The last that is in use."""
        return max(self.numbers.values())

    @property
    def name(self) -> Digest:
        """A name of the spanning directories and their entries."""
        paths = [path for listing in self.listings.items() for path in (listing[0], *listing[1])]
        shown = [(path, self.numbers[path], kinds(self.tree[path])) for path in paths]
        return named({path: self.tree[path] for path in self.listings}, shown)


def divide(tree: Mapping[str, Entry]) -> SectionedTree:
    """Numbers and divides the ordered, complete `tree`. FormatError for a lost+found that is not a directory."""
    added: dict[str, Entry] = {"": Directory(0o755, 0, 0, EPOCH), "lost+found": Directory(0o700, 0, 0, EPOCH)}
    everything = added | dict(tree)
    if type(everything["lost+found"]) is not Directory:
        raise FormatError("lost+found: ext4 needs a directory of that name for files that a repair finds")
    numbers, groups = _numbers(everything), _groups(everything)
    rows = list(sections({path: entry for path, entry in everything.items() if path not in FIRST_NUMBER}))
    folders = {path: parent(path) for path in everything if path}
    foreign = [{folders[path] for path in row if folders[path] not in row} for row in rows]
    opened = FIRST_NUMBER.keys() | set().union(*foreign)
    listings: dict[str, list[str]] = {path: [] for path in everything if path in opened}
    for path, folder in folders.items():
        if folder in opened:
            listings[folder].append(path)
    found, first = list[Ext4Section](), FIRST_INODE + 1
    for row, some in zip(rows, foreign, strict=True):
        above = {path: numbers[path] for path in listings if path in some}
        here = tuple(path for path in listings if path in row)
        found.append(Ext4Section(row, first, _shared_elsewhere(row, groups, numbers), above, here))
        first = max(first, max(numbers[path] for path in row) + 1)
    return SectionedTree(everything, numbers, found, listings)


def _shared_elsewhere(
    row: Mapping[str, Entry], groups: Mapping[str, list[str]], numbers: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    """Returns the `shared` of an Ext4Section. groups: all names of each hard-linked file."""
    own = {group: names for group, names in _groups(row).items() if len(names) < len(groups[group])}
    return {group: (numbers[names[0]], len(groups[group])) for group, names in own.items()}


def contents(section: Ext4Section, hash_seed: bytes) -> Contents:
    """Numbers and checks a section. FormatError for what ext4 cannot hold."""
    entries = section.entries
    limits.check(entries, "ext4")
    numbers = _numbers(entries, section.first, {group: number for group, (number, _) in section.shared.items()})
    links = Counter(numbers.values()) | Counter(dict(section.shared.values()))
    folders: dict[str, list[bytes]] = {
        path: [] for path, entry in entries.items() if type(entry) is Directory and path not in section.spanning
    }
    for path, entry in entries.items():
        if (listing := folders.get(parent(path))) is not None:
            listing.append(_name(path, entry, numbers[path]))
            if type(entry) is Directory:
                links[numbers[parent(path)]] += 1
    owners: dict[int, str] = {}
    for path, number in numbers.items():
        if number >= section.first and path not in section.spanning:
            owners.setdefault(number, path)
    return _contents(entries, owners, numbers, section.above, links, folders, hash_seed)


def spanning_contents(whole: SectionedTree, hash_seed: bytes) -> Contents:
    """The spanning directories."""
    tree, numbers = whole.tree, whole.numbers
    entries = {path: tree[path] for path in whole.listings}
    limits.check(entries, "ext4")
    own = {path: numbers[path] for path in entries}
    links, folders = Counter(own.values()), {}
    for path, listing in whole.listings.items():
        folders[path] = [_name(each, tree[each], numbers[each]) for each in listing]
        links[own[path]] += sum(type(tree[each]) is Directory for each in listing)
    above = {parent(path): numbers[parent(path)] for path in entries}
    owners = {number: path for path, number in own.items()}
    return _contents(entries, owners, own, above, links, folders, hash_seed)


def _contents(
    entries: Mapping[str, Entry],
    owners: dict[int, str],
    numbers: Mapping[str, int],
    above: Mapping[str, int],
    links: Counter[int],
    folders: Mapping[str, list[bytes]],
    hash_seed: bytes,
) -> Contents:
    for path in folders:
        links[numbers[path]] += 1
        if links[numbers[path]] > MOST_LINKS:
            links[numbers[path]] = 1  # "too many to count"
    most = max(owners, key=links.__getitem__, default=0)
    if links[most] > MOST_LINKS:
        names = f"{links[most]} names of one file; ext4 has room for {MOST_LINKS}"
        raise FormatError(f"{limits.short_path(owners[most])}: {names}: make some of them links of a copy")
    leaves = {path: ext4dir.leaves(each, hash_seed) for path, each in folders.items()}
    counts = {numbers[path]: ext4dir.count(found, path) for path, found in leaves.items()}
    held = _content_blocks(entries, owners, counts)
    return Contents(entries, owners, numbers, above, links, leaves, *held, _attributes(entries, owners))


def _name(path: str, entry: Entry, number: int) -> bytes:
    """The entry of `path` in its directory."""
    return ext4dir.entry(raw(path.rpartition("/")[2]), number, kinds(entry)[0])


def _attributes(tree: Mapping[str, Entry], owners: Mapping[int, str]) -> list[tuple[bytes, list[int]]]:
    """Blocks for attributes that do not fit into their inode."""
    users: dict[bytes, list[int]] = {}
    for number, path in owners.items():
        xattrs = tree[path].xattrs
        try:
            if xattrs and ext4inode.inline_attributes(xattrs) is None:
                users.setdefault(ext4inode.external_attributes(xattrs), []).append(number)
        except FormatError as error:
            raise FormatError(f"{limits.short_path(path)}: {error}") from None
    most = ext4inode.MOST_SHARED
    return [(block, many[at : at + most]) for block, many in users.items() for at in range(0, len(many), most)]


def _content_blocks(
    tree: Mapping[str, Entry], owners: Mapping[int, str], folders: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, bytes | Content], dict[int, list[Run]], dict[int, list[Content]]]:
    """Returns `sizes`, `data`, `runs` and `parts` of Contents. folders: the blocks of directories."""
    sizes = {number: count * BLOCK for number, count in folders.items() if count <= LONGEST_EXTENT}
    runs = {number: [Run(0, count)] for number, count in folders.items() if count > LONGEST_EXTENT}
    data: dict[int, bytes | Content] = {}
    parts: dict[int, list[Content]] = {}
    for number, path in owners.items():
        entry = tree[path]
        if type(entry) is File:
            size = length(entry.content)
            if size > LARGEST_FILE:
                raise TooLarge(path, size, "ext4", LARGEST_FILE)
            if _is_contiguous(entry.content, size):
                sizes[number], data[number] = size, entry.content
            elif rows := list(extents.allocated(entry.content, BLOCK)):
                runs[number], parts[number] = [run for run, _ in rows], [part for _, part in rows]
        elif type(entry) is Symlink:
            target = raw(entry.target)
            if len(target) > LONGEST_FAST:
                sizes[number], data[number] = len(target), target
    return sizes, data, runs, parts


def _is_contiguous(content: Content, size: int) -> bool:
    """True if no block of `content` is a hole, and one extent holds them."""
    if not 0 < size <= LONGEST_EXTENT * BLOCK:
        return False
    if len(content) == 1:  # as most have
        return content[0].blob is not None
    return extents.runs(content, BLOCK) == [(0, -(-size // BLOCK))]


def _numbers(
    entries: Mapping[str, Entry],
    free: int = FIRST_INODE + 1,
    known: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """path -> inode, in order, from `free` on. known: inodes of some hard-linked files."""
    numbers, shared = {}, dict(known or {})
    for path, entry in entries.items():
        if path in FIRST_NUMBER:
            numbers[path] = FIRST_NUMBER[path]
            continue
        number = shared.setdefault(entry.inode, free) if type(entry) is File and entry.inode else free
        numbers[path] = number
        free += number == free
    return numbers


def _groups(entries: Mapping[str, Entry]) -> dict[str, list[str]]:
    """The names of each hard-linked file."""
    groups: dict[str, list[str]] = {}
    for path, entry in entries.items():
        if type(entry) is File and entry.inode:
            groups.setdefault(entry.inode, []).append(path)
    return groups


def kinds(entry: Entry) -> tuple[int, int]:
    """The type of `entry` in a directory, and in a mode."""
    return KINDS[entry.kind if type(entry) is Device else type(entry)]
