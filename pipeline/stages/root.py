"""The stages between the parts of a spec and the formats: who wins at the root, the whole root file system, what boots.

Parts that may touch any path (kernel, init, files) are laid over each other. An initrd is a row of archives, one for a
part, and the kernel unpacks them one after another: it gives a directory that comes twice the second one's mode, and it
knows hard links only within one archive. So every path is left in one part only: a directory in the first that has it
(what is below may come in any later one), everything else in the last.
"""

from __future__ import annotations

from pipeline.model import columns
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, Entry, Slice, Tree, complete, overlay
from pipeline.store import Store

VERSION = 2

IMAGE_FOLDERS = ("lower", "rootfs")
"""Where a bundle or a volume keeps its image (LinuxKit's names)."""


def nothing(store: Store) -> Digest:
    """The empty Tree: what boots where there is no kernel."""
    return store.put_tree(Tree())


def image(store: Store, part: Digest, *, prefix: str) -> Digest:
    """What a bundle or volume at `prefix` has from its image, and the directories that this stands in: large, and the
    same when only an option changes."""
    return _split(store, part, prefix, True)


def frame(store: Store, part: Digest, *, prefix: str) -> Digest:
    """What a bundle or volume at `prefix` has besides: config.json, runtime.json and directories to work in."""
    return _split(store, part, prefix, False)


def _split(store: Store, part: Digest, prefix: str, inside: bool) -> Digest:
    folders = (prefix, *(f"{prefix}/{folder}" for folder in IMAGE_FOLDERS))
    below = tuple(f"{folder}/" for folder in folders[1:])
    found = store.tree(part).items()
    return store.put_tree(
        Tree((path, entry) for path, entry in found if (path in folders or path.startswith(below)) is inside)
    )


def winners(store: Store, *parts: Digest, directories: list[str], epoch: int) -> Digest:
    """Each part cut to the entries that win: a flat Tree whose files "0", "1", … hold the cut trees' bytes.

    `directories` (those that the other parts stand in) come first of all.
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
    """The bytes of `tree`, which need not be made if it is one of `known`."""
    same = next((digest for digest in known if store.tree(digest) == tree), None)
    return store.content(columns.dump(tree)) if same is None else (Slice(same, 0, store.size(same)),)


def winner(store: Store, cut: Digest, *, number: int) -> Digest:
    """The tree number `number` of what `winners` gave."""
    blob = store.tree(cut).file(str(number)).content[0].blob
    assert blob is not None
    return blob


def rootfs(store: Store, *parts: Digest, directories: list[str], epoch: int) -> Digest:
    """All parts laid over each other, in order, boot/ included: the root file system as one Tree."""
    merged = overlay({path: Directory(0o755, 0, 0, epoch) for path in directories}, *map(store.tree, parts))
    return store.put_tree(complete(merged, mtime=epoch))
