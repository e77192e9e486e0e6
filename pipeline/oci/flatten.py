"""Layers laid over each other to make a tree, by the rules of image-spec's layer.md.

An entry replaces what stands at its path (a directory over a directory keeps its children). `.wh.NAME` removes NAME,
`.wh..wh..opq` removes everything in its directory; both remove only entries of the layers below, wherever in the
archive they stand. Paths are resolved inside the image (pipeline.oci.directory). Hard links share one inode, within a
layer and across layers.
"""

from __future__ import annotations

from pipeline.model.tree import Content, Device, Directory, Entry, File, Symlink, Tree
from pipeline.oci.decompress import Budget
from pipeline.oci.directory import DirectoryNode, DirectoryTree, printable
from pipeline.oci.error import Refusal
from pipeline.oci.sparse import Buffer
from pipeline.oci.tar import Member, members, slicer

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
NAME_LIMIT = 255
"""Maximum length of a name, in bytes (Linux: NAME_MAX)."""
TARGET_LIMIT = 4095
"""Maximum length of a symlink's target, in bytes (Linux: PATH_MAX and its NUL)."""


class Flattener:
    """Lays layers over each other. `tree` is the result so far.

    budget: counts the holes of sparse files; by default each archive has a budget of its own.
    """

    def __init__(self, whiteouts: bool = True, budget: Budget | None = None) -> None:
        self._directories = DirectoryTree()
        self._budget = budget
        self._whiteouts = whiteouts
        self._inodes: dict[str, File] = {}

    def add(self, archive: Buffer, content: Content) -> None:
        """Lays the tar `archive`, whose bytes are `content`, over the tree. Refusal names the entry."""
        self._directories.begin_layer()
        contents = slicer(content)
        budget = self._budget or Budget(len(archive))
        path, inside = "", False
        try:
            for member in members(archive):
                path, inside = member.path, True
                for offset, size in member.extents:
                    if offset < 0:
                        budget.take(size)
                self._add(member, contents(member.extents))
                inside = False
        except Refusal as error:
            where = "entry" if inside else "after entry" if path else "at its start"
            raise Refusal(f"{where} {printable(path) if path else ''}: {error}") from None

    def _add(self, member: Member, content: Content) -> None:
        path = member.path
        directory, name = self._split(path)
        if path[-1:] == "/" and member.kind != "d":
            raise Refusal("a name that ends in a slash, and is not a directory")
        if self._whiteouts and WHITEOUT in path and self._is_reserved(directory):
            return
        if name.startswith(WHITEOUT) and self._whiteouts:
            self._whiteout(directory, name)
        elif name:
            self._put(directory, name, self._entry(member, content))
        elif member.kind == "d":
            self._directories.root.entry = Directory(*member[2:7])
        else:
            raise Refusal("the root of the image is not a directory")

    def tree(self) -> Tree:
        """Returns the tree of the layers: ordered, complete, with hard links grouped.

        The first name of a group has the inode's metadata, which its file's entry stated; the others have those of
        their own entries, which archives made from the tree repeat.
        """
        root = self._directories.root
        entries: dict[str, Entry] = {"": root.entry} if root.entry else {}
        todo = [("", root)]
        while todo:
            prefix, node = todo.pop()
            for name, child in node.children.items():
                path = prefix + name
                if type(child) is DirectoryNode:
                    assert child.entry is not None
                    entries[path] = child.entry
                    todo.append((path + "/", child))
                else:
                    entries[path] = child  # type: ignore[assignment]
        self._name_inodes(entries)
        return Tree(entries).ordered()

    def _name_inodes(self, entries: dict[str, Entry]) -> None:
        groups: dict[str, list[str]] = {}
        for path, entry in entries.items() if self._inodes else ():
            if type(entry) is File and entry.inode:
                groups.setdefault(entry.inode, []).append(path)
        for inode, paths in groups.items():
            first = min(paths)
            for path in paths:
                entry = self._inodes[inode] if path == first else entries[path]
                assert type(entry) is File
                entries[path] = entry._replace(inode=first if len(paths) > 1 else "")

    # one entry

    def _split(self, unsafe_path: str) -> tuple[str, str]:
        """Splits `unsafe_path` into directory and name inside the root; the name of the root itself is ""."""
        path = unsafe_path.rstrip("/")
        directory, _, name = path.rpartition("/")
        if directory[:1] in "./" or name in (".", "..") or "/." in directory or "//" in directory:
            parts: list[str] = []
            for part in path.split("/"):
                if part == "..":
                    del parts[-1:]
                elif part not in ("", "."):
                    parts.append(part)
            directory, name = "/".join(parts[:-1]), parts[-1] if parts else ""
        if len(name) > NAME_LIMIT // 4 and len(name.encode("utf-8", "surrogateescape")) > NAME_LIMIT:
            raise Refusal(f"a name of more than {NAME_LIMIT} bytes")
        return directory, name

    def _entry(self, member: Member, content: Content) -> Entry:
        path, kind, mode, uid, gid, mtime, xattrs, target, major, minor, _ = member
        self._directories.count(len(path) + sum([len(value) for _, value in xattrs]) if xattrs else len(path))
        if kind == "f":
            return File(mode, uid, gid, mtime, xattrs, content)
        if kind == "d":
            return Directory(mode, uid, gid, mtime, xattrs)
        if kind == "h":
            return self._link(target, File(mode, uid, gid, mtime, xattrs))
        if kind == "l":
            if not target or "\0" in target or len(target.encode("utf-8", "surrogateescape")) > TARGET_LIMIT:
                raise Refusal(f"a symlink to {printable(target)}: 1 to {TARGET_LIMIT} bytes are allowed")
            return Symlink(mode, uid, gid, mtime, xattrs, target)
        return Device(mode, uid, gid, mtime, xattrs, kind, major, minor)

    def _link(self, unsafe_target: str, metadata: File) -> Entry:
        """Returns the entry of a hard link: a further name of a file, or a copy of a symlink or device."""
        directory, name = self._split(unsafe_target)
        node = self._directories.find(directory)
        target = node.children.get(name) if node else None
        if node is None or target is None:
            raise Refusal(f"a hard link to {printable(unsafe_target)}, which is not there (yet)")
        if type(target) is DirectoryNode:
            raise Refusal(f"a hard link to the directory {printable(unsafe_target)}")
        if type(target) is not File:
            return target  # type: ignore[return-value]
        if not target.inode:
            target = target._replace(inode=f"#{len(self._inodes)}")
            node.children[name] = self._inodes[target.inode] = target
        return target._replace(mode=metadata.mode, uid=metadata.uid, gid=metadata.gid, mtime=metadata.mtime)

    def _put(self, directory: str, name: str, entry: Entry) -> None:
        node = self._directories.reach(directory)
        node.own(self._directories.layer).add(name)
        old = node.children.get(name)
        if type(old) is DirectoryNode and type(entry) is Directory:
            old.entry = entry
            return
        if type(old) is DirectoryNode or type(old) is Symlink:
            self._directories.invalidate()
        node.children[name] = DirectoryNode(entry) if type(entry) is Directory else entry

    # whiteouts

    def _is_reserved(self, directory: str) -> bool:
        """Returns whether `directory` is in one of AUFS's own (.wh..wh.NAME). Refusal for any other whiteout's name."""
        for name in directory.split("/") if WHITEOUT in directory else ():
            if name.startswith(WHITEOUT + WHITEOUT):
                return True
            if name.startswith(WHITEOUT):
                raise Refusal("a directory whose name is a whiteout")
        return False

    def _whiteout(self, directory: str, name: str) -> None:
        hidden = name[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise Refusal("a whiteout that names no entry")
        node = self._directories.find(directory)
        if node is None:
            return
        if name == OPAQUE:
            self._directories.purge(node)
        elif not hidden.startswith(WHITEOUT):  # .wh..wh.NAME are AUFS's own files
            child = node.children.get(hidden)
            if hidden in node.own(self._directories.layer):
                if type(child) is DirectoryNode:
                    self._directories.purge(child)
            elif child is not None:
                del node.children[hidden]
                self._directories.invalidate()
