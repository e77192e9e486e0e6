"""File systems as values, and the functions that combine them.

A Tree maps paths to entries. Paths are relative to the tree's root, without a leading, trailing or double slash; "" is
the root itself. Bytes that are not UTF-8 are surrogates (`path.encode("utf-8", "surrogateescape")` gives them back).

A tree does not hold the bytes of its files: `Content` lists slices of blobs, so a file system of any size is merged,
cut and moved without reading one byte of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeVar
from zlib import crc32

from pipeline.model.digest import Digest

EPOCH = 315532800
"""Default time stamp, in seconds since 1970: 1980-01-01, the earliest that every output format can store."""

Xattrs = tuple[tuple[str, bytes], ...]
Item = TypeVar("Item")


class Slice(NamedTuple):
    """`length` bytes of `blob` from `offset` on. Without a blob it is a hole: zeros that take no space."""

    blob: Digest | None
    offset: int
    length: int


Content = tuple[Slice, ...]
"""The bytes of a file: slices in order. () is the empty file."""


class Directory(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs = ()


class File(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs = ()
    content: Content = ()
    inode: str = ""
    """The least path of a group of hard links; "" for a file with one name."""

    @property
    def size(self) -> int:
        return length(self.content)


class Symlink(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs = ()
    target: str = ""


class Device(NamedTuple):
    """A device node or FIFO. `kind` is "c", "b" or "p"."""

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: Xattrs = ()
    kind: str = "c"
    major: int = 0
    minor: int = 0


Entry = Directory | File | Symlink | Device


class Tree(dict[str, Entry]):
    """path -> entry, in path order (parents before children). Not changed once it is built."""

    __slots__ = ()

    def file(self, path: str) -> File:
        """The regular file at `path`. KeyError if nothing, or something else, is there."""
        if (file := self.get_file(path)) is None:
            raise KeyError(path)
        return file

    def get_file(self, path: str) -> File | None:
        """The regular file at `path`; None if nothing, or something else, is there."""
        entry = self.get(path)
        return entry if type(entry) is File else None

    def files(self) -> dict[str, File]:
        """Path -> entry of the regular files, in order."""
        return {path: entry for path, entry in self.items() if type(entry) is File}

    def unique_files(self) -> dict[str, File]:
        """Path -> entry of the regular files, with the least path of each group of hard links."""
        return {path: file for path, file in self.files().items() if file.inode in ("", path)}

    def ordered(self) -> Tree:
        """Returns the tree with its paths in order and canonical names of hard-link groups."""
        return Tree((path, self[path]) for path in sorted(self)).relinked()

    def relinked(self) -> Tree:
        """Names hard-link groups by their least path, in place; groups of one become plain files. Returns the tree."""
        groups: dict[str, list[str]] = {}
        for path, entry in self.items():
            if type(entry) is File and entry.inode:
                groups.setdefault(entry.inode, []).append(path)
        for inode, paths in groups.items():
            name = min(paths) if len(paths) > 1 else ""
            if name != inode:
                for path in paths:
                    self[path] = self.file(path)._replace(inode=name)
        return self


class Sink(Protocol):
    """The output of a writer, in order. Existing content is taken by reference, never copied."""

    def write(self, data: bytes) -> object: ...
    def extend(self, content: Content) -> object: ...
    def zeros(self, count: int) -> object: ...
    def tell(self) -> int: ...


Read = Callable[[Content], Iterator[bytes]]
"""Reads a content: yields its bytes in chunks of bounded size."""
Transform = Callable[[Sequence[bytes]], Sequence[bytes | memoryview]]
"""Transforms a batch of blocks, each independently. Must be deterministic and thread-safe."""
Compress = Callable[[Iterable[Content]], Iterator[Slice]]
"""Compresses contents and yields the results in order. The implementation may return memoised results."""
Memoize = Callable[[str, Callable[[Sink], Any]], tuple[Any, Content]]
"""Memoises `make(sink)`: the name must identify every input. Returns its JSON result and the content that it wrote."""


_length = itemgetter(2)
"""Length of a slice, three times as fast as by its name."""


def length(content: Content) -> int:
    """Returns the size of `content` in bytes."""
    return content[0].length if len(content) == 1 else sum(map(_length, content))


def cut(content: Content, start: int, count: int) -> Content:
    """Returns the `count` bytes of `content` from `start` on, by reference. ValueError if there are fewer."""
    pieces = []
    for blob, offset, size in content:
        if count <= 0:
            break
        if start < size:
            taken = min(size - start, count)
            pieces.append(Slice(blob, offset + start if blob else 0, taken))
            count -= taken
            start = 0
        else:
            start -= size
    if count > 0:
        raise ValueError(f"content ends {count} bytes early")
    return tuple(pieces)


def split(content: Content, size: int) -> Iterator[Content]:
    """Yields `content` in pieces of `size` bytes, by reference; the last may be shorter."""
    if len(content) == 1 and 0 < content[0].length <= size:  # as most files are
        yield content
        return
    pieces: list[Slice] = []
    room = size
    for piece in content:
        blob, offset, left = piece
        if 0 < left < room:  # as most are, where there are many
            pieces.append(piece)
            room -= left
            continue
        while left:
            taken = min(room, left)
            pieces.append(Slice(blob, offset, taken))
            offset, left, room = offset + taken if blob else 0, left - taken, room - taken
            if not room:
                yield tuple(pieces)
                pieces, room = [], size
    if pieces:
        yield tuple(pieces)


def joined(contents: Iterable[Content]) -> Content:
    """Returns the `contents` one after another. Slices that adjoin become one, so it is the inverse of `split`."""
    pieces: list[Slice] = []
    for content in contents:
        if pieces and content and _follows(pieces[-1], content[0]):
            pieces[-1] = pieces[-1]._replace(length=pieces[-1].length + content[0].length)
            content = content[1:]
        pieces += content
    return tuple(pieces)


def _follows(piece: Slice, other: Slice) -> bool:
    """Returns whether `other` continues `piece`."""
    return piece.blob == other.blob and (piece.blob is None or piece.offset + piece.length == other.offset)


def parent(path: str) -> str:
    """Returns the directory of `path`; "" is the root, and its own parent."""
    return path.rpartition("/")[0]


def parents(path: str) -> Iterator[str]:
    """Yields the directories above `path`, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def overlay(lower: Mapping[str, Entry], *uppers: Mapping[str, Entry]) -> Tree:
    """Returns `uppers` laid over `lower`, in order: the upper entry wins, and one that is no directory hides all below.

    `lower` has an entry for every parent (see `complete`); `uppers` need not.
    """
    tree = dict(lower)
    for number, upper in enumerate(uppers, 1):
        tree = _laid(tree, upper)
        tree.update(_unshared(tree, upper, "//" * number))
    return Tree(tree).ordered()


def _laid(tree: dict[str, Entry], upper: Mapping[str, Entry]) -> dict[str, Entry]:
    """Returns `tree`, possibly changed in place, without entries that cannot exist beside those of `upper`."""
    hidden, clear = set(), {""}
    for path, entry in upper.items():
        if type(entry) is not Directory and type(tree.get(path)) is Directory:
            hidden.add(path)
        while (path := path.rpartition("/")[0]) not in clear:
            clear.add(path)
            below = tree.get(path)
            if type(below) is Directory:
                break
            if below is not None:
                del tree[path]
    if hidden:
        return {path: tree[path] for path in tree if not any(above in hidden for above in parents(path))}
    return tree


def _unshared(lower: Mapping[str, Entry], upper: Mapping[str, Entry], apart: str) -> Mapping[str, Entry]:
    """Returns `upper` with `apart` in front of the names of hard-link groups that `lower` has, too."""
    if not (own := _groups(upper)) or not (clash := own & _groups(lower)):
        return upper
    return {
        path: entry._replace(inode=apart + entry.inode) if type(entry) is File and entry.inode in clash else entry
        for path, entry in upper.items()
    }


def _groups(tree: Mapping[str, Entry]) -> set[str]:
    return {entry.inode for entry in tree.values() if type(entry) is File and entry.inode}


def below(prefix: str, tree: Mapping[str, Entry]) -> Tree:
    """Returns `tree` moved below the directory `prefix`, which gets the root's entry if there is one."""
    result = Tree()
    start = prefix + "/"
    for path, entry in tree.items():
        if type(entry) is File and entry.inode:
            entry = entry._replace(inode=start + entry.inode)
        result[start + path if path else prefix] = entry
    return result


def outside(folder: str, tree: Mapping[str, Entry]) -> Tree:
    """Returns `tree` without the entries below the directory `folder`; the directory stays."""
    start = folder + "/"
    return Tree({path: entry for path, entry in tree.items() if not path.startswith(start)}).relinked()


def complete(tree: Mapping[str, Entry], mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = EPOCH) -> Tree:
    """Returns `tree` with a directory for every parent that has no entry of its own."""
    missing: dict[str, Entry] = {}
    for path in tree:
        while (path := path.rpartition("/")[0]) and path not in tree and path not in missing:
            missing[path] = Directory(mode, uid, gid, mtime)
    return Tree({**tree, **missing}).ordered() if missing else Tree(tree)


SECTION = 1024
"""Minimum entries of a section; the maximum is twice as many. Some writers' bytes depend on it (their VERSIONs)."""
ENDS = 8
"""A section of at least SECTION entries ends at a path whose CRC-32 is a multiple of this."""


def sections(tree: Mapping[str, Entry]) -> Iterator[dict[str, Entry]]:
    """Yields the sections of `tree`: runs of consecutive paths.

    Boundaries depend on the paths themselves (content-defined chunking), so after an insertion or removal they realign.
    """
    rows = grouped(tree.items(), lambda _: 1, SECTION, lambda item: not crc32(item[0].encode(errors="replace")) % ENDS)
    return map(dict, rows)


def grouped(
    items: Iterable[Item], size: Callable[[Item], int], least: int, ends: Callable[[Item], bool] = lambda _: True
) -> Iterator[list[Item]]:
    """Yields groups of consecutive `items`. A group of the size `least` ends at an item for which `ends` is true, or
    when it reaches twice that size."""
    group: list[Item] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= least and (total >= 2 * least or ends(item)):
            yield group
            group, total = [], 0
    if group:
        yield group


def only(path: str, content: Content, mode: int = 0o644, mtime: int = EPOCH) -> Tree:
    """Returns the tree with a single file."""
    return Tree({path: File(mode, 0, 0, mtime, (), content)})


def files(entries: Iterable[tuple[str, Content]]) -> Tree:
    """Returns a flat tree of plain files, as formats do."""
    return Tree((path, File(0o644, 0, 0, EPOCH, (), content)) for path, content in sorted(entries))
