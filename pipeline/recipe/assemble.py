"""Stage: packages and a recipe become an image with one layer (image-spec v1.1: manifest.md, config.md, layer.md).

The layer is a tar that depends on nothing but the packages' contents and the recipe: entries in path order, with the
packages' time stamps, and EPOCH for the recipe's own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.kernel import modules
from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import EPOCH, Content, Directory, Entry, File, Symlink, Tree, complete, overlay
from pipeline.oci.manifest import CONFIGS, LAYERS, MANIFESTS
from pipeline.recipe.globs import matching, selected, unmatched
from pipeline.recipe.recipe import relative
from pipeline.recipe.tag import describe, tag
from pipeline.store import Store
from pipeline.writers import tar

VERSION = f"2 tar-{tar.VERSION} modules-{modules.VERSION}"

CREATED = "1980-01-01T00:00:00Z"
"""EPOCH in RFC 3339."""
DEVICE_TREES = "lib/linux-image-"
"""Prefix of the folder of device trees in Debian's kernels, below usr/; the kernel's release follows."""
DTB = "boot/dtb"
VARIANTS = {"arm64": "v8", "arm": "v7"}
"""Variants of the architectures that Debian's packages are made for (containerd's platforms, normalized)."""


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
    """Returns the image's manifest. unpacked: a Tree with one folder a package; the rest as in `actions.image`.

    StageProblem, at the recipe's key, for faults that only the packages show: patterns without a match, files that
    clash.
    """
    packages = _packages(store.tree(unpacked))
    tree = merged(store, _selected(packages, keep, drop))
    tree = overlay(tree, complete(own(store, _concatenated(packages, concatenate), files)))
    tree = overlay(tree, complete(_links(tree, symlinks)))
    if kernel:
        tree = as_kernel(store, tree)
    return _image(store, _layer(store, tree), reference, arch, config)


def _image(store: Store, layer: Digest, reference: str, arch: str, config: Mapping[str, Any]) -> Digest:
    """Stores and tags an image with one layer; returns its manifest."""
    platform = {"architecture": arch, "os": "linux"} | ({"variant": VARIANTS[arch]} if arch in VARIANTS else {})
    history = [{"created": CREATED, "created_by": f"recipe {reference}"}]
    rootfs = {"type": "layers", "diff_ids": [layer]}
    document = {**platform, "created": CREATED, "config": config, "rootfs": rootfs, "history": history}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": describe(store, CONFIGS[0], store.put(canonical_json(document))),
        "layers": [describe(store, LAYERS[0], layer)],
    }
    digest = store.put(canonical_json(manifest))
    tag(store, reference, describe(store, MANIFESTS[0], digest, platform=platform))
    return digest


def merged(store: Store, packages: Mapping[str, Tree]) -> Tree:
    """Merges packages. Several may have the same directory (the first by name counts), or an identical file.

    A file that dpkg would settle by `Replaces` or by a diversion is a clash here, as the recipe does not choose.
    """
    result: dict[str, Entry] = {}
    owner: dict[str, str] = {}
    for name in sorted(packages):
        for path, entry in packages[name].items():
            other = result.setdefault(path, entry)
            if other is entry:
                owner[path] = name
            elif not _is_same(store, other, entry):
                message = f"{path!r} is not the same in the packages {owner[path]} and {name}"
                raise StageProblem(("packages",), message, "drop it, or leave one of them out")
    return Tree(result).ordered()


def own(store: Store, concatenated: Mapping[str, Content], files: Sequence[Mapping[str, Any]]) -> Tree:
    """Returns the recipe's own entries: concatenated files, and `files`."""
    tree = Tree((path, File(0o644, 0, 0, EPOCH, (), content)) for path, content in concatenated.items())
    for file in files:
        metadata = (int(file["mode"], 8), file["uid"], file["gid"], EPOCH)
        if "contents" in file:
            content = store.content(file["contents"].encode("utf-8", "surrogateescape"))
            tree[file["path"]] = File(*metadata, (), content)
        elif "symlink" in file:
            tree[file["path"]] = Symlink(0o777, *metadata[1:], (), file["symlink"])
        else:
            tree[file["path"]] = Directory(*metadata)
    return tree.ordered()


def as_kernel(store: Store, tree: Tree) -> Tree:
    """Arranges `tree` as LinuxKit's kernel images: /kernel, and /kernel.tar with modules and their dependency data.

    Kept device trees go to boot/dtb in kernel.tar; a kept configuration, which has the compressions that the kernel can
    unpack, becomes /kernel-config.
    """
    kernels = [path for path in tree if path.startswith("boot/vmlinuz-")]
    if len(kernels) != 1:
        raise StageProblem(("kernel",), f"exactly one boot/vmlinuz-* is needed, not {', '.join(kernels) or 'none'}")
    release = kernels[0].removeprefix("boot/vmlinuz-")
    moved = {path.removeprefix("usr/").replace(DEVICE_TREES + release, DTB, 1): tree[path] for path in tree}
    archive = {path: entry for path, entry in moved.items() if (path + "/").startswith(("lib/modules/", DTB + "/"))}
    if (releases := modules.releases(archive)) != [release]:
        raise StageProblem(("kernel",), f"the kernel is {release}, its modules are for {', '.join(releases) or 'none'}")
    rope = store.rope()
    tar.write(modules.with_data(store, complete(archive), release), rope)
    rest = selected(tree, (), ("boot", "lib/modules", "usr/lib/modules", f"usr/{DEVICE_TREES}{release}"))
    files: dict[str, Entry] = {"kernel": tree[kernels[0]], "kernel.tar": File(0o644, 0, 0, EPOCH, (), rope.finish())}
    config = tree.get(f"boot/config-{release}")
    return overlay(rest, files | ({"kernel-config": config} if config else {}))


def _packages(unpacked: Tree) -> dict[str, Tree]:
    """Splits NAME/path into the tree of each package."""
    packages: dict[str, Tree] = {}
    for path, entry in unpacked.items():
        name, _, rest = path.partition("/")
        if type(entry) is File and entry.inode:
            entry = entry._replace(inode=entry.inode.partition("/")[2])
        packages.setdefault(name, Tree())[rest] = entry
    return packages


def _selected(packages: Mapping[str, Tree], keep: Sequence[str], drop: Sequence[str]) -> dict[str, Tree]:
    paths = [path for tree in packages.values() for path in tree]
    for number in unmatched(keep, paths):
        raise StageProblem(("keep", number), f"{keep[number]!r} matches nothing in the packages")
    return {name: selected(tree, keep, drop) for name, tree in packages.items()}


def _concatenated(packages: Mapping[str, Tree], concatenate: Mapping[str, Sequence[str]]) -> dict[str, Content]:
    files = {path: file for name in sorted(packages) for path, file in packages[name].files().items()}
    result = {}
    for path, globs in concatenate.items():
        sources = matching(sorted(files), globs)
        if not sources:
            raise StageProblem(("concatenate", path), "nothing in the packages matches")
        result[path] = tuple(slice for source in sources for slice in files[source].content)
    return result


def _links(tree: Tree, symlinks: Mapping[str, Sequence[str]]) -> Tree:
    for target in symlinks:
        if target not in tree:
            raise StageProblem(("symlinks", target), f"there is no {target!r} in the image")
    pairs = ((path, target) for target, paths in symlinks.items() for path in paths)
    return Tree((path, Symlink(0o777, 0, 0, EPOCH, (), relative(target, path))) for path, target in sorted(pairs))


def _is_same(store: Store, one: Entry, other: Entry) -> bool:
    """Returns whether two packages may share the entry: equal but for the time stamp and hard links."""
    if type(one) is Directory:
        return type(other) is Directory
    if type(one) is not File or type(other) is not File:
        return one._replace(mtime=0) == other._replace(mtime=0)
    if one._replace(mtime=0, content=(), inode="") != other._replace(mtime=0, content=(), inode=""):
        return False
    return one.size == other.size and store.bytes(one.content) == store.bytes(other.content)


def _layer(store: Store, tree: Tree) -> Digest:
    """Stores `tree` as a tar in one blob, with the content of its files copied."""
    rope = store.rope()
    tar.write(tree, rope)
    with store.create() as blob:
        for chunk in store.read(rope.finish()):
            blob.write(chunk)
        return blob.commit()
