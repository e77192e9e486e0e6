"""Assemble: packages and a recipe become an image with one layer (image-spec v1.1: manifest.md, config.md, layer.md).

The layer is a tar that depends on nothing but the packages' contents and the recipe: entries in path order, with the
time stamps that the packages have, and EPOCH for the recipe's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.kernel import modules
from pipeline.language.problem import StageProblem
from pipeline.model import tree as trees
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import EPOCH, Content, Directory, Entry, File, Symlink, Tree, complete, overlay
from pipeline.recipe.globs import matching, selected, unmatched
from pipeline.recipe.recipe import relative
from pipeline.recipe.tag import describe, tag
from pipeline.store import Store
from pipeline.store.rope import BlobWriter
from pipeline.writers import tar

VERSION = f"2 tar-{tar.VERSION} modules-{modules.VERSION}"

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CREATED = "1980-01-01T00:00:00Z"
"""EPOCH, as RFC 3339 has it."""
DEVICE_TREES = "lib/linux-image-"
"""Debian's kernels have theirs below usr/ in a folder that is called so, followed by the release."""
DTB = "boot/dtb"
VARIANTS = {"arm64": "v8", "arm": "v7"}
"""What Debian's packages need of architectures that have variants (containerd's platforms, normalized)."""


def image(
    store: Store,
    unpacked: Digest,
    *,
    reference: str,
    arch: str,
    keep: Sequence[str],
    drop: Sequence[str],
    concatenate: Mapping[str, Sequence[str]],
    kernel: bool,
    files: Sequence[Mapping[str, Any]],
    symlinks: Mapping[str, Sequence[str]],
    config: Mapping[str, Any],
) -> Digest:
    """The image's manifest. unpacked: a Tree with one folder a package; the rest as in a recipe (`actions.image`).

    StageProblem, at the recipe's key, for what only the packages show: patterns without a match, files that clash.
    """
    packages = _packages(store.tree(unpacked))
    tree = merged(store, _kept(packages, keep, drop))
    tree = overlay(tree, complete(own(store, _concatenated(packages, concatenate), files)))
    tree = overlay(tree, complete(_links(tree, symlinks)))
    if kernel:
        tree = as_kernel(store, tree)
    layer = _layer(store, tree)
    platform = {"architecture": arch, "os": "linux"} | ({"variant": VARIANTS[arch]} if arch in VARIANTS else {})
    history = [{"created": CREATED, "created_by": f"recipe {reference}"}]
    rootfs = {"type": "layers", "diff_ids": [layer]}
    document = {**platform, "created": CREATED, "config": config, "rootfs": rootfs, "history": history}
    configured = store.put(canonical_json(document))
    described = {"config": describe(store, CONFIG, configured), "layers": [describe(store, LAYER, layer)]}
    manifest = store.put(canonical_json({"schemaVersion": 2, "mediaType": MANIFEST, **described}))
    tag(store, reference, describe(store, MANIFEST, manifest, platform=platform))
    return manifest


def merged(store: Store, packages: Mapping[str, Tree]) -> Tree:
    """All packages in one tree. Two may have the same directory (the first by name counts), or the same file.

    What dpkg settles by `Replaces` or by a diversion is a clash here: nothing says which of the two a recipe means.
    """
    result: dict[str, Entry] = {}
    owner: dict[str, str] = {}
    for name in sorted(packages):
        for path, entry in packages[name].items():
            known = result.setdefault(path, entry)
            if known is entry:
                owner[path] = name
            elif not _alike(store, known, entry):
                what = f"{path!r} is not the same in the packages {owner[path]} and {name}"
                raise StageProblem(("packages",), what, "drop it, or leave one of them out")
    return Tree(result).ordered()


def own(store: Store, concatenated: Mapping[str, Content], files: Sequence[Mapping[str, Any]]) -> Tree:
    """What the recipe brings itself: files made of others, and `files`, its own."""
    tree = Tree((path, File(0o644, 0, 0, EPOCH, (), content)) for path, content in concatenated.items())
    for file in files:
        numbers = (int(file["mode"], 8), file["uid"], file["gid"], EPOCH)
        if "contents" in file:
            content = store.content(file["contents"].encode("utf-8", "surrogateescape"))
            tree[file["path"]] = File(*numbers, (), content)
        elif "symlink" in file:
            tree[file["path"]] = Symlink(0o777, *numbers[1:], (), file["symlink"])
        else:
            tree[file["path"]] = Directory(*numbers)
    return tree.ordered()


def as_kernel(store: Store, tree: Tree) -> Tree:
    """`tree` as LinuxKit has kernel images: /kernel, and /kernel.tar with the modules and their dependency data, and
    the device trees, if the recipe keeps them, in boot/dtb.

    Its configuration, if the recipe keeps it, is /kernel-config: it says what the kernel can unpack.
    """
    kernels = [path for path in tree if path.startswith("boot/vmlinuz-")]
    if len(kernels) != 1:
        raise StageProblem(("kernel",), f"one boot/vmlinuz-* is wanted, there is {', '.join(kernels) or 'none'}")
    release = kernels[0].removeprefix("boot/vmlinuz-")
    moved = {path.removeprefix("usr/").replace(DEVICE_TREES + release, DTB, 1): tree[path] for path in tree}
    parts = {path: entry for path, entry in moved.items() if (path + "/").startswith(("lib/modules/", DTB + "/"))}
    if (found := modules.releases(parts)) != [release]:
        raise StageProblem(("kernel",), f"the kernel is {release}, its modules are for {', '.join(found) or 'none'}")
    rope = store.rope()
    tar.write(modules.with_data(store, complete(parts), release), rope)
    rest = selected(tree, (), ("boot", "lib/modules", "usr/lib/modules", f"usr/{DEVICE_TREES}{release}"))
    made: dict[str, Entry] = {"kernel": tree[kernels[0]], "kernel.tar": File(0o644, 0, 0, EPOCH, (), rope.finish())}
    config = tree.get(f"boot/config-{release}")
    return overlay(rest, made | ({"kernel-config": config} if config else {}))


def _packages(unpacked: Tree) -> dict[str, Tree]:
    """The tree of each package: NAME/path -> path."""
    packages: dict[str, Tree] = {}
    for path, entry in unpacked.items():
        name, _, rest = path.partition("/")
        if type(entry) is File and entry.inode:
            entry = entry._replace(inode=entry.inode.partition("/")[2])
        packages.setdefault(name, Tree())[rest] = entry
    return packages


def _kept(packages: Mapping[str, Tree], keep: Sequence[str], drop: Sequence[str]) -> dict[str, Tree]:
    kept = {name: selected(tree, keep, drop) for name, tree in packages.items()}
    paths = [path for tree in packages.values() for path in tree]
    for number in unmatched(keep, paths):
        raise StageProblem(("keep", number), f"{keep[number]!r} matches nothing in the packages")
    return kept


def _concatenated(packages: Mapping[str, Tree], concatenate: Mapping[str, Sequence[str]]) -> dict[str, Content]:
    """Files strung together, by reference."""
    found = {path: file for name in sorted(packages) for path, file in packages[name].files().items()}
    result = {}
    for path, globs in concatenate.items():
        parts = matching(sorted(found), globs)
        if not parts:
            raise StageProblem(("concatenate", path), "nothing in the packages matches")
        result[path] = tuple(piece for part in parts for piece in found[part].content)
    return result


def _links(tree: Tree, symlinks: Mapping[str, Sequence[str]]) -> Tree:
    for target in symlinks:
        if target not in tree:
            raise StageProblem(("symlinks", target), f"there is no {target!r} in the image")
    pairs = ((path, target) for target, paths in symlinks.items() for path in paths)
    return Tree((path, Symlink(0o777, 0, 0, EPOCH, (), relative(target, path))) for path, target in sorted(pairs))


def _alike(store: Store, one: Entry, other: Entry) -> bool:
    """Whether two packages may both have the entry: the same but for the time stamp and hard links."""
    if type(one) is Directory:
        return type(other) is Directory
    if type(one) is not File or type(other) is not File:
        return one._replace(mtime=0) == other._replace(mtime=0)
    if one._replace(mtime=0, content=(), inode="") != other._replace(mtime=0, content=(), inode=""):
        return False
    return one.size == other.size and store.bytes(one.content) == store.bytes(other.content)


class _Layer:
    """A Sink for one blob that stands by itself: what is given by reference is copied into it."""

    def __init__(self, store: Store, blob: BlobWriter) -> None:
        self._store = store
        self._blob = blob
        self.write = blob.write

    def extend(self, content: Content) -> None:
        for chunk in self._store.read(content):
            self._blob.write(chunk)

    def zeros(self, count: int) -> None:
        self.extend((trees.Slice(None, 0, count),))

    def tell(self) -> int:
        return self._blob.size


def _layer(store: Store, tree: Tree) -> Digest:
    with store.create() as blob:
        tar.write(tree, _Layer(store, blob))
        return blob.commit()
