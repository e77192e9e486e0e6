"""DirectoryTree: the directories of an image while layers are laid over each other, and how names lead to them.

Names are resolved inside the image as a kernel does it in a chroot: `..` stops at the root, symlinks in the middle of a
path are followed there, and never on the host.
"""

from __future__ import annotations

from pipeline.model.tree import EPOCH, Directory, Entry, Symlink
from pipeline.oci.error import Refusal

DEPTH_LIMIT = 4096
"""Directories above an entry: twice what Linux can reach by one path (PATH_MAX is 4096 bytes)."""
ENTRIES_LIMIT = 2_000_000
"""Entries of an image's layers, with the directories that they imply. They are held in memory, half a KiB each."""
BYTES_LIMIT = 256 << 20
"""Bytes of all their paths and extended attributes."""
LINKS_LIMIT = 40
"""Symlinks followed for one name (Linux: MAXSYMLINKS)."""
STEPS_LIMIT = 20_000_000
"""Names taken from symlinks' targets for all entries of an image: some seconds' work."""

_UNTOUCHED: set[str] = set()


class DirectoryNode:
    """A directory. `children` holds folders, and entries that are none."""

    __slots__ = ("_fresh", "_layer", "children", "entry", "purged")

    def __init__(self, entry: Directory | None) -> None:
        self.entry = entry
        self.children: dict[str, DirectoryNode | Entry] = {}
        self.purged = -1
        """The last layer that removed everything from below."""
        self._layer = -1
        self._fresh = _UNTOUCHED

    def fresh(self, layer: int) -> set[str]:
        """The names that the layer of this number has put here itself; whoever puts one adds it."""
        if self._layer != layer:
            self._layer, self._fresh = layer, set()
        return self._fresh


class DirectoryTree:
    """All folders of an image, from `root` down, while the layer of number `layer` is laid over it."""

    def __init__(self) -> None:
        self.root = DirectoryNode(None)
        self.layer = -1
        self._entries = self._bytes = self._steps = 0
        self._reached: dict[str, DirectoryNode] = {}

    def begin_layer(self) -> None:
        self.layer += 1
        self._reached.clear()

    def moved(self) -> None:
        """Something that names may lead through was replaced or removed."""
        self._reached.clear()

    def count(self, size: int) -> None:
        """One more entry, which needs `size` bytes for its name and attributes; Refusal if that is too much."""
        self._entries += 1
        self._bytes += size
        if self._entries > ENTRIES_LIMIT or self._bytes > BYTES_LIMIT:
            raise Refusal(f"more than {ENTRIES_LIMIT} entries, or {BYTES_LIMIT} bytes of names and attributes")

    def find(self, directory: str) -> DirectoryNode | None:
        """The folder that `directory` (without `.` and `..`) means; None if it is not there."""
        return self._reached.get(directory) or self._resolve(directory)[1][-1]

    def reach(self, directory: str) -> DirectoryNode:
        """The same, made where it is missing; the whole way to it counts as put there by this layer."""
        found = self._reached.get(directory)
        if found is None:
            found = self._reached[directory] = self._next(directory) or self._make(directory)
        return found

    def purge(self, folder: DirectoryNode) -> None:
        """Remove what layers below put into `folder`, at any depth. For each folder, once a layer."""
        todo = [folder]
        while todo:
            folder = todo.pop()
            if folder.purged == self.layer:
                continue
            folder.purged = self.layer
            fresh = folder.fresh(self.layer)
            folder.children = {name: child for name, child in folder.children.items() if name in fresh}
            todo += [child for child in folder.children.values() if type(child) is DirectoryNode]
        self._reached.clear()

    def _next(self, directory: str) -> DirectoryNode | None:
        """A folder in one that was reached already: the common case."""
        above, _, name = directory.rpartition("/")
        folder = self._reached.get(above)
        child = folder.children.get(name) if folder else None
        if folder is None or type(child) is not DirectoryNode:
            return None
        folder.fresh(self.layer).add(name)
        return child

    def _make(self, directory: str) -> DirectoryNode:
        names, (_, *trail) = self._resolve(directory)
        folder, size = self.root, 0
        for name, known in zip(names, trail, strict=True):
            folder.fresh(self.layer).add(name)
            size += len(name) + 1
            if known is None:
                if name in folder.children:
                    raise Refusal(f"{printable(name)} in {printable(directory)} is no directory")
                self.count(size)
                known = folder.children[name] = DirectoryNode(Directory(0o755, 0, 0, EPOCH))
            folder = known
        return folder

    def _resolve(self, directory: str) -> tuple[list[str], list[DirectoryNode | None]]:
        """The names from the root to `directory`, and the folders on the way; None where there is no folder."""
        names: list[str] = []
        trail: list[DirectoryNode | None] = [self.root]
        todo = directory.split("/")[::-1]
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
                todo += self._followed(child, links, directory)
                if child.target[0] == "/":
                    del names[:], trail[1:]
                continue
            names.append(name)
            trail.append(child if type(child) is DirectoryNode else None)
            if len(names) > DEPTH_LIMIT:
                raise Refusal(f"more than {DEPTH_LIMIT} directories deep")
        return names, trail

    def _followed(self, link: Symlink, links: int, directory: str) -> list[str]:
        """The names of a symlink's target, the last one first."""
        names = link.target.split("/")[::-1]
        self._steps += len(names)
        if links > LINKS_LIMIT or self._steps > STEPS_LIMIT:
            raise Refusal(f"too many symlinks on the way to {printable(directory)}")
        return names


def printable(unsafe_name: str) -> str:
    """A name from an image as it may stand in a message."""
    return ascii(unsafe_name if len(unsafe_name) <= 200 else unsafe_name[:200] + "…")
