"""The directories of an image while layers are laid over each other, and the resolution of paths in them.

Paths are resolved inside the image as a kernel resolves them in a chroot: `..` stops at the root, symlinks in the
middle of a path are followed there, and never on the host.
"""

from __future__ import annotations

from pipeline.model.tree import EPOCH, Directory, Entry, Symlink
from pipeline.oci.error import Refusal

DEPTH_LIMIT = 4096
"""Maximum depth of an entry: twice what Linux can reach by one path (PATH_MAX is 4096 bytes)."""
ENTRIES_LIMIT = 2_000_000
"""Maximum number of entries of all layers, implied directories included. Each takes half a KiB of memory."""
BYTES_LIMIT = 256 << 20
"""Maximum size of all their paths and extended attributes, in bytes."""
LINKS_LIMIT = 40
"""Symlinks that are followed for one path (Linux: MAXSYMLINKS)."""
STEPS_LIMIT = 20_000_000
"""Maximum number of names in all symlink targets followed for an image: some seconds' work."""

_EMPTY: set[str] = set()


class DirectoryNode:
    """A directory. `children` are nodes, and entries that are no directories."""

    __slots__ = ("_layer", "_own", "children", "entry", "purged")

    def __init__(self, entry: Directory | None) -> None:
        self.entry = entry
        self.children: dict[str, DirectoryNode | Entry] = {}
        self.purged = -1
        """Number of the last layer that removed everything of the layers below."""
        self._layer = -1
        self._own = _EMPTY

    def own(self, layer: int) -> set[str]:
        """Returns the names that the layer of this number put here; the caller adds to them."""
        if self._layer != layer:
            self._layer, self._own = layer, set()
        return self._own


class DirectoryTree:
    """The directories of an image, from `root` down, while the layer of number `layer` is laid over them."""

    def __init__(self) -> None:
        self.root = DirectoryNode(None)
        self.layer = -1
        self._entries = self._bytes = self._steps = 0
        self._cache: dict[str, DirectoryNode] = {}

    def begin_layer(self) -> None:
        self.layer += 1
        self._cache.clear()

    def invalidate(self) -> None:
        """Forgets resolved paths, after a symlink or directory was replaced or removed."""
        self._cache.clear()

    def count(self, size: int) -> None:
        """Counts an entry with `size` bytes of path and attributes. Refusal beyond the limits."""
        self._entries += 1
        self._bytes += size
        if self._entries > ENTRIES_LIMIT or self._bytes > BYTES_LIMIT:
            raise Refusal(f"more than {ENTRIES_LIMIT} entries, or {BYTES_LIMIT} bytes of names and attributes")

    def find(self, path: str) -> DirectoryNode | None:
        """Returns the directory `path` (without `.` and `..`); None if there is none."""
        return self._cache.get(path) or self._resolve(path)[1][-1]

    def reach(self, path: str) -> DirectoryNode:
        """Returns the directory `path`, made if need be; every directory on the way becomes the layer's own."""
        node = self._cache.get(path)
        if node is None:
            node = self._cache[path] = self._child(path) or self._make(path)
        return node

    def purge(self, node: DirectoryNode) -> None:
        """Removes everything of the layers below from `node`, at any depth; once a layer for each directory."""
        todo = [node]
        while todo:
            node = todo.pop()
            if node.purged == self.layer:
                continue
            node.purged = self.layer
            own = node.own(self.layer)
            node.children = {name: child for name, child in node.children.items() if name in own}
            todo += [child for child in node.children.values() if type(child) is DirectoryNode]
        self._cache.clear()

    def _child(self, path: str) -> DirectoryNode | None:
        """Returns a directory whose parent was resolved before, the common case; else None."""
        above, _, name = path.rpartition("/")
        node = self._cache.get(above)
        child = node.children.get(name) if node else None
        if node is None or type(child) is not DirectoryNode:
            return None
        node.own(self.layer).add(name)
        return child

    def _make(self, path: str) -> DirectoryNode:
        names, (_, *trail) = self._resolve(path)
        node, size = self.root, 0
        for name, child in zip(names, trail, strict=True):
            node.own(self.layer).add(name)
            size += len(name) + 1
            if child is None:
                if name in node.children:
                    raise Refusal(f"{printable(name)} in {printable(path)} is not a directory")
                self.count(size)
                child = node.children[name] = DirectoryNode(Directory(0o755, 0, 0, EPOCH))
            node = child
        return node

    def _resolve(self, path: str) -> tuple[list[str], list[DirectoryNode | None]]:
        """Returns the names from the root to `path`, and the nodes on the way; None where there is no directory."""
        names: list[str] = []
        trail: list[DirectoryNode | None] = [self.root]
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            name = todo.pop()
            above = trail[-1]
            if name in ("", "."):
                continue
            if name == "..":
                del names[-1:], trail[max(1, len(trail) - 1) :]
                continue
            child = above.children.get(name) if above else None
            if type(child) is Symlink:
                links += 1
                todo += self._target(child, links, path)
                if child.target[0] == "/":
                    del names[:], trail[1:]
                continue
            names.append(name)
            trail.append(child if type(child) is DirectoryNode else None)
            if len(names) > DEPTH_LIMIT:
                raise Refusal(f"more than {DEPTH_LIMIT} directories deep")
        return names, trail

    def _target(self, link: Symlink, links: int, path: str) -> list[str]:
        """Returns the names of a symlink's target, the last one first. links: followed for `path` so far."""
        names = link.target.split("/")[::-1]
        self._steps += len(names)
        if links > LINKS_LIMIT or self._steps > STEPS_LIMIT:
            raise Refusal(f"too many symlinks on the way to {printable(path)}")
        return names


def printable(unsafe_name: str) -> str:
    """Returns a name from an image in a form that is safe in a message."""
    return ascii(unsafe_name if len(unsafe_name) <= 200 else unsafe_name[:200] + "…")
