"""Tree: a file system as a value, and the few functions that combine trees.

A Tree maps a path to what stands there. Paths are relative to the tree's root, without a leading, trailing or double
slash; "" is the root itself. Bytes that are no UTF-8 are kept as surrogates (`path.encode("utf-8", "surrogateescape")`
gives them back).

What a file holds is not in the tree: `Content` says which slices of which blobs make it up, so a file system of any
size can be merged, cut and moved without one byte of it being read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from pipeline.model.digest import Digest

EPOCH = 315532800
"""Time stamp of everything that has none of its own: 1980-01-01, the first moment that every output format can say."""

Xattrs = tuple[tuple[str, bytes], ...]


class Slice(NamedTuple):
    """`length` bytes of `blob` from `offset` on; `blob` None is a hole: zeros that take no space."""

    blob: Digest | None
    offset: int
    length: int


Content = tuple[Slice, ...]
"""The bytes of a file: its slices, one after another. () is the empty file."""


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
    """Names that are hard links of each other share an `inode`, the least of their paths; "" for a single name."""

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
    """path -> entry, in path order (parents before children). Treated as immutable once it has been built."""

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
        """The same with one path, the least, for each group of hard links."""
        return {path: file for path, file in self.files().items() if file.inode in ("", path)}

    def ordered(self) -> Tree:
        """The same tree with its paths in order and its hard-link groups named canonically."""
        return Tree((path, self[path]) for path in sorted(self)).relinked()

    def relinked(self) -> Tree:
        """Every hard-link group named by its least path; groups of one become plain files."""
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
    """Where a writer puts what it makes, in order. Content that exists already is taken by reference, never copied."""

    def write(self, data: bytes) -> object: ...
    def extend(self, content: Content) -> object: ...
    def zeros(self, count: int) -> object: ...
    def tell(self) -> int: ...


Read = Callable[[Content], Iterator[bytes]]
"""How a writer that has to see bytes (to compress them, say) gets them: chunks of bounded size."""
Work = Callable[[Sequence[bytes]], Sequence[bytes | memoryview]]
"""What becomes of blocks, of each for itself. Any thread may call it; the same bytes always become the same."""
Pack = Callable[[Iterable[Content]], Iterator[Slice]]
"""What becomes of pieces, in order: how a writer has blocks compressed. Whoever does it may know some from before."""
Keep = Callable[[str, Callable[[Sink], Any]], tuple[Any, Content]]
"""What is made under a name, which says all that decides it: what the call says (a JSON value), and what it wrote.
Whoever does it may know that from before."""


_length = itemgetter(2)
"""Of a slice; by its name it would take three times as long."""


def length(content: Content) -> int:
    """Size of `content` in bytes."""
    return content[0].length if len(content) == 1 else sum(map(_length, content))


def cut(content: Content, start: int, count: int) -> Content:
    """The `count` bytes of `content` from `start` on, still by reference."""
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
    """`content` in pieces of `size` bytes, by reference; the last may be shorter."""
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
    """The `contents`, one after another: what `split` took apart, whole again."""
    pieces: list[Slice] = []
    for content in contents:
        if pieces and content and _follows(pieces[-1], content[0]):
            pieces[-1] = pieces[-1]._replace(length=pieces[-1].length + content[0].length)
            content = content[1:]
        pieces += content
    return tuple(pieces)


def _follows(piece: Slice, other: Slice) -> bool:
    """Whether the two are one slice."""
    return piece.blob == other.blob and (piece.blob is None or piece.offset + piece.length == other.offset)


def parent(path: str) -> str:
    """The directory that `path` is in; "" is the root (and its own parent)."""
    return path.rpartition("/")[0]


def parents(path: str) -> Iterator[str]:
    """The directories above `path`, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def overlay(lower: Mapping[str, Entry], *uppers: Mapping[str, Entry]) -> Tree:
    """`uppers` laid over `lower`, one after another: the upper entry wins; what is no directory hides everything below.

    `lower` has an entry for every parent (see `complete`); the others need not.
    """
    tree = dict(lower)
    for number, upper in enumerate(uppers, 1):
        tree = _laid(tree, upper)
        tree.update(_unshared(tree, upper, "//" * number))
    return Tree(tree).ordered()


def _laid(tree: dict[str, Entry], upper: Mapping[str, Entry]) -> dict[str, Entry]:
    """`tree`, which may be changed, without what cannot be there together with `upper`."""
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
    """`upper` with hard-link groups renamed (`apart` in front) where the same name means another group in `lower`."""
    if not (own := _groups(upper)) or not (clash := own & _groups(lower)):
        return upper
    return {
        path: entry._replace(inode=apart + entry.inode) if type(entry) is File and entry.inode in clash else entry
        for path, entry in upper.items()
    }


def _groups(tree: Mapping[str, Entry]) -> set[str]:
    return {entry.inode for entry in tree.values() if type(entry) is File and entry.inode}


def below(prefix: str, tree: Mapping[str, Entry]) -> Tree:
    """`tree` moved under the directory `prefix`; its root becomes the entry of `prefix` itself, if it has one."""
    result = Tree()
    start = prefix + "/"
    for path, entry in tree.items():
        if type(entry) is File and entry.inode:
            entry = entry._replace(inode=start + entry.inode)
        result[start + path if path else prefix] = entry
    return result


def outside(folder: str, tree: Mapping[str, Entry]) -> Tree:
    """`tree` without what is below the directory `folder`; that itself stays."""
    start = folder + "/"
    return Tree({path: entry for path, entry in tree.items() if not path.startswith(start)}).relinked()


def complete(tree: Mapping[str, Entry], mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = EPOCH) -> Tree:
    """`tree` with a directory for every parent that has no entry of its own."""
    missing: dict[str, Entry] = {}
    for path in tree:
        while (path := path.rpartition("/")[0]) and path not in tree and path not in missing:
            missing[path] = Directory(mode, uid, gid, mtime)
    return Tree({**tree, **missing}).ordered() if missing else Tree(tree)


SECTION = 1024
"""Entries of a section, at least; at most twice as many. Some writers' bytes follow from it (their VERSIONs)."""
ENDS = 8
"""One path in so many may end a section that has enough."""


def sections(tree: Mapping[str, Entry]) -> Iterator[dict[str, Entry]]:
    """`tree` in rows of paths that follow each other. A section ends where a path says so: behind what was added or
    taken away, sections are soon those that they were."""
    some: dict[str, Entry] = {}
    for path, entry in tree.items():
        some[path] = entry
        if len(some) >= SECTION and (len(some) >= 2 * SECTION or not crc32(path.encode(errors="replace")) % ENDS):
            yield some
            some = {}
    if some:
        yield some


def only(path: str, content: Content, mode: int = 0o644, mtime: int = EPOCH) -> Tree:
    """The tree of a single file."""
    return Tree({path: File(mode, 0, 0, mtime, (), content)})


def files(entries: Iterable[tuple[str, Content]]) -> Tree:
    """A flat tree of plain files, as formats give it: name -> content."""
    return Tree((path, File(0o644, 0, 0, EPOCH, (), content)) for path, content in sorted(entries))
