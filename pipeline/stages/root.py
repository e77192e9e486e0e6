"""Stages between the components of a spec and the formats: overlaid components, and the whole root file system.

Components that may touch any path (kernel, init, files) are laid over each other. An initrd has one archive for each
component, which the kernel unpacks in order: if a directory occurs twice, the second entry's mode wins, and hard links
work only within one archive. So every path is left in one component: a directory in the first that has it (entries
below it may come later), everything else in the last.
"""

from __future__ import annotations

from pipeline.model import columns
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, Entry, Slice, Tree, complete, overlay
from pipeline.store import Store

VERSION = 2

IMAGE_FOLDERS = ("lower", "rootfs")
"""Folders of a bundle or volume that may contain its image (LinuxKit's names)."""


def nothing(store: Store) -> Digest:
    """Returns the empty Tree, in place of a kernel."""
    return store.put_tree(Tree())


def bundle_image(store: Store, part: Digest, *, prefix: str) -> Digest:
    """Returns the image of the bundle or volume at `prefix`, which no option changes, with its parent directories."""
    return _split(store, part, prefix, True)


def bundle_metadata(store: Store, part: Digest, *, prefix: str) -> Digest:
    """Returns the rest of the bundle or volume at `prefix`: config.json, runtime.json and work directories."""
    return _split(store, part, prefix, False)


def _split(store: Store, part: Digest, prefix: str, inside: bool) -> Digest:
    folders = (prefix, *(f"{prefix}/{folder}" for folder in IMAGE_FOLDERS))
    below = tuple(f"{folder}/" for folder in folders[1:])
    entries = store.tree(part).items()
    return store.put_tree(
        Tree((path, entry) for path, entry in entries if (path in folders or path.startswith(below)) is inside)
    )


def partition_overlay(store: Store, *parts: Digest, directories: list[str], epoch: int) -> Digest:
    """Returns each component cut to the entries that win: a flat Tree of the serialised trees "0", "1", ….

    directories: parents of the other components, which come first.
    """
    given = [store.tree(part) for part in parts]
    merged = overlay({path: Directory(0o755, 0, 0, epoch) for path in directories}, *given)
    owner: dict[str, int] = {}
    for number, tree in enumerate(given):
        for path in tree:
            if path not in owner or type(merged.get(path)) is not Directory:
                owner[path] = number
    cut: list[dict[str, Entry]] = [{} for _ in given] or [{}]
    for path, entry in complete(merged, mtime=epoch).items():
        cut[owner.get(path, 0)][path] = entry
    numbered = ((str(number), _dumped(store, Tree(part).relinked(), parts)) for number, part in enumerate(cut))
    return store.put_tree(trees.files(numbered))


def _dumped(store: Store, tree: Tree, known: tuple[Digest, ...]) -> Content:
    """Returns the serialised `tree`, which exists already if it is one of `known`."""
    same = next((digest for digest in known if store.tree(digest) == tree), None)
    return store.content(columns.dump(tree)) if same is None else (Slice(same, 0, store.size(same)),)


def select(store: Store, cut: Digest, *, number: int) -> Digest:
    """Returns the tree `number` of a result of `partition_overlay`."""
    blob = store.tree(cut).file(str(number)).content[0].blob
    assert blob is not None
    return blob


def rootfs(store: Store, *parts: Digest, directories: list[str], epoch: int) -> Digest:
    """Returns the root file system: all components laid over each other in order, with boot/."""
    merged = overlay({path: Directory(0o755, 0, 0, epoch) for path in directories}, *map(store.tree, parts))
    return store.put_tree(complete(merged, mtime=epoch))
