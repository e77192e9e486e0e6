"""Flattener: archives laid over each other to make a tree, by the rules of image-spec's layer.md.

An entry replaces what stands at its path (a directory over a directory keeps its children). `.wh.NAME` removes NAME,
`.wh..wh..opq` removes everything in its directory, and both only what came from layers below, wherever in the archive
they stand. Names are resolved inside the image: `..` stops at its root, and a symlink in the middle of a path is
followed there, never on the host. Hard links share one inode, within a layer and across layers.
"""

from __future__ import annotations

from pipeline.model.tree import Content, Device, Directory, Entry, File, Symlink, Tree
from pipeline.oci.decompress import Budget
from pipeline.oci.directory import DirectoryNode, DirectoryTree, printable
from pipeline.oci.error import Refusal
from pipeline.oci.sparse import Buffer
from pipeline.oci.tar import Member, members, place

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
NAME_LIMIT = 255
"""Bytes of one name (Linux: NAME_MAX)."""
TARGET_LIMIT = 4095
"""Bytes of a symlink's target (Linux: PATH_MAX and its NUL)."""


class Flattener:
    """Layers being laid over each other; `tree` is the result so far.

    budget: where holes of sparse files are counted, as what they unpack to; by default each archive has one of its own.
    """

    def __init__(self, whiteouts: bool = True, budget: Budget | None = None) -> None:
        self._folders = DirectoryTree()
        self._budget = budget
        self._whiteouts = whiteouts
        self._inodes: dict[str, File] = {}

    def add(self, archive: Buffer, content: Content) -> None:
        """Lay the tar `archive` over what is there; its bytes are `content`. Refusal names the entry."""
        self._folders.begin_layer()
        placed = place(content)
        budget = self._budget or Budget(len(archive))
        path, inside = "", False
        try:
            for member in members(archive):
                path, inside = member.path, True
                for at, size in member.extents:
                    if at < 0:
                        budget.take(size)
                directory, name = self._split(path)
                if path[-1:] == "/" and member.kind != "d":
                    raise Refusal("a name that ends in a slash, and is no directory")
                if self._whiteouts and WHITEOUT in path and self._reserved(directory):
                    pass
                elif name.startswith(WHITEOUT) and self._whiteouts:
                    self._whiteout(directory, name)
                elif name:
                    self._put(directory, name, self._entry(member, placed(member.extents)))
                else:
                    self._put_root(member)
                inside = False
        except Refusal as error:
            where = "entry" if inside else "after entry" if path else "at its start"
            raise Refusal(f"{where} {printable(path) if path else ''}: {error}") from None

    def tree(self) -> Tree:
        """What the layers make: ordered, complete, hard links grouped.

        Of a group of hard links the first name has the inode's metadata (what its file's entry said); the others keep
        what their own entries said, which archives made from the tree repeat.
        """
        root = self._folders.root
        found: dict[str, Entry] = {"": root.entry} if root.entry else {}
        todo = [("", root)]
        while todo:
            prefix, folder = todo.pop()
            for name, child in folder.children.items():
                path = prefix + name
                if type(child) is DirectoryNode:
                    assert child.entry is not None
                    found[path] = child.entry
                    todo.append((path + "/", child))
                else:
                    found[path] = child  # type: ignore[assignment]
        self._name_inodes(found)
        return Tree(found).ordered()

    def _name_inodes(self, found: dict[str, Entry]) -> None:
        groups: dict[str, list[str]] = {}
        for path, entry in found.items() if self._inodes else ():
            if type(entry) is File and entry.inode:
                groups.setdefault(entry.inode, []).append(path)
        for inode, paths in groups.items():
            first = min(paths)
            for path in paths:
                entry = self._inodes[inode] if path == first else found[path]
                assert type(entry) is File
                found[path] = entry._replace(inode=first if len(paths) > 1 else "")

    # one entry

    def _split(self, unsafe_path: str) -> tuple[str, str]:
        """`unsafe_path` as directory and name inside the root; the name of the root itself is ""."""
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
        self._folders.count(len(path) + sum([len(value) for _, value in xattrs]) if xattrs else len(path))
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

    def _link(self, unsafe_target: str, said: File) -> Entry:
        """The entry of a hard link: a further name of a file, a copy of anything else that is no directory."""
        directory, name = self._split(unsafe_target)
        folder = self._folders.find(directory)
        target = folder.children.get(name) if folder else None
        if folder is None or target is None:
            raise Refusal(f"a hard link to {printable(unsafe_target)}, which is not there (yet)")
        if type(target) is DirectoryNode:
            raise Refusal(f"a hard link to the directory {printable(unsafe_target)}")
        if type(target) is not File:
            return target  # type: ignore[return-value]
        if not target.inode:
            target = target._replace(inode=f"#{len(self._inodes)}")
            folder.children[name] = self._inodes[target.inode] = target
        return target._replace(mode=said.mode, uid=said.uid, gid=said.gid, mtime=said.mtime)

    def _put(self, directory: str, name: str, entry: Entry) -> None:
        folder = self._folders.reach(directory)
        folder.fresh(self._folders.layer).add(name)
        old = folder.children.get(name)
        if type(old) is DirectoryNode and type(entry) is Directory:
            old.entry = entry
            return
        if type(old) is DirectoryNode or type(old) is Symlink:
            self._folders.moved()
        folder.children[name] = DirectoryNode(entry) if type(entry) is Directory else entry

    def _put_root(self, member: Member) -> None:
        if member.kind != "d":
            raise Refusal("the root of the image as something else than a directory")
        self._folders.root.entry = Directory(*member[2:7])

    # whiteouts

    def _reserved(self, directory: str) -> bool:
        """Whether to skip what is in AUFS's own folders (.wh..wh.NAME); no other folder may be named so."""
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
        folder = self._folders.find(directory)
        if folder is None:
            return
        if name == OPAQUE:
            self._folders.purge(folder)
        elif not hidden.startswith(WHITEOUT):  # .wh..wh.NAME are AUFS's own notes
            child = folder.children.get(hidden)
            if hidden in folder.fresh(self._folders.layer):
                if type(child) is DirectoryNode:
                    self._folders.purge(child)
            elif child is not None:
                del folder.children[hidden]
                self._folders.moved()
