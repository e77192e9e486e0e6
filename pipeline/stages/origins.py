"""Stages: the origin of each path of images, components and the root file system (pipeline.model.origins).

Each of them has the inputs of the stage whose tree it explains, and the origins of what that was made of. Their results
have the form of `pipeline.recipe.ownership`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model import origins
from pipeline.model.digest import Digest
from pipeline.model.origins import MADE, Origin, Origins
from pipeline.model.path_resolution import resolve
from pipeline.model.tree import Directory, Tree, files
from pipeline.oci.decompress import Budget
from pipeline.oci.image import image_config, image_manifest
from pipeline.oci.layer import decompressed, layer_tree, tar_tree
from pipeline.packages.installed import DATABASE_LIMIT, distribution, installed
from pipeline.recipe.ownership import FILE, load
from pipeline.store import Store

VERSION = 1


def image(store: Store, manifest: Digest, tree: Digest, *, reference: str) -> Digest:
    """Returns the origins of the paths of an image: its layers, and the packages of its databases (dpkg, apk).

    A package owns the files and links that its list names; a directory is its layer's, and so is a link in the place
    of one (/bin, which the lists of packages that put files below it name). tree: of the layers.
    """
    root = store.tree(tree)
    layers = _layers(store, manifest, root, reference)
    owned = dict(layers)
    for origin, paths in _packages(store, root, reference):
        folders = {path.rpartition("/")[0] for path in paths}
        for path in paths:
            if path in folders:
                continue
            place = _place(root, path)
            if place in layers and type(root[place]) is not Directory:
                owned[place] = origin._replace(layer=layers[place].layer)
    return _put(store, owned)


def placed(store: Store, tree: Digest, image: Digest, known: Digest, *, at: list[str]) -> Digest:
    """Returns the origins of the `tree` of a component that has an image, changed, at one of the folders `at`.

    known: the image's origins. The other entries are nodekiln's.
    """
    prefixes = [f"{folder}/" if folder else "" for folder in at]

    def place(path: str) -> str | None:
        if path in at:
            return ""
        prefix = next((each for each in prefixes if path.startswith(each)), None)
        return None if prefix is None else path[len(prefix) :]

    return _put(store, origins.inherited(store.tree(tree), store.tree(image), load(store, known), place))


def kernel(store: Store, tree: Digest, image: Digest, known: Digest, *, binary: str, tar: str, ucode: str) -> Digest:
    """Returns the origins of a kernel's component; the parameters are some of `stages.kernel.contents`.

    Dependency data that nodekiln computes for a selection of modules is nodekiln's; so is the command line.
    """
    source, known_origins = store.tree(image), load(store, known)
    archive = source.get_file(tar.removeprefix("/")) if tar else None
    inside = tar_tree(store, archive.content) if archive else Tree()
    whole = known_origins.get(tar.removeprefix("/"), MADE)
    found: Origins = {}
    for path, entry in store.tree(tree).items():
        same = origins.is_same(entry, inside.get(path))
        found[path] = known_origins.get(f"kernel.tar/{path}", whole) if same else MADE
    for path, name in (("boot/kernel", binary), ("boot/ucode.cpio", ucode)):
        if path in found:
            found[path] = known_origins.get(name.removeprefix("/"), MADE)
    return _put(store, found)


def whole(store: Store, tree: Digest, *, origin: dict[str, str]) -> Digest:
    """Returns the origins of a `tree` that has one for all paths (the fields of Origin)."""
    one = Origin(**origin)  # type: ignore[arg-type]
    return _put(store, dict.fromkeys(store.tree(tree), one))


def node(store: Store, root: Digest, *parts: Digest) -> Digest:
    """Returns the origins of the root file system: those of its components, in order; the last that has a path owns it.

    parts: the components' origins. Directories of none are nodekiln's.
    """
    return _put(store, origins.of_tree(store.tree(root), origins.laid({}, *(load(store, part) for part in parts))))


def _put(store: Store, found: Mapping[str, Origin]) -> Digest:
    return store.put_tree(files([(FILE, store.content(origins.dump(found)))]))


def _layers(store: Store, manifest: Digest, root: Tree, reference: str) -> Origins:
    """Returns the layer of each path of the image's tree `root`."""
    document, config = image_manifest(store, manifest), image_config(store, manifest)
    budget = Budget(sum(layer.size for layer in document.layers))
    layers = []
    for layer, diff_id in zip(document.layers, config["diff_ids"], strict=True):
        blob = decompressed(store, layer.digest, diff_id, budget)
        entries = {_place(root, path): entry for path, entry in layer_tree(store, blob).items()}
        layers.append((Origin("image", reference, layer=layer.digest), entries))
    return origins.of_layers(root, layers)


def _packages(store: Store, root: Tree, reference: str) -> Iterator[tuple[Origin, tuple[str, ...]]]:
    """Yields the packages in the image's databases, and their paths."""

    def read(path: str) -> str | None:
        place = resolve(root, path)
        file = root.get_file(place) if place else None
        return None if file is None else store.bytes(file.content, DATABASE_LIMIT).decode("utf-8", "replace")

    name, release = distribution(read)
    for each in installed(read, root):
        yield (
            Origin(
                each.kind,
                each.name,
                each.version,
                each.architecture,
                within=reference,
                distribution=name or ("debian" if each.kind == "deb" else "alpine"),
                release=release,
                source=each.source,
                source_version=each.source_version,
            ),
            each.paths,
        )


def _place(root: Tree, path: str) -> str:
    """Returns the place in the image of a path whose folders may be links: usr/bin/sh for bin/sh."""
    folder, slash, name = path.rpartition("/")
    resolved = resolve(root, folder) if slash else ""
    return path if resolved is None else f"{resolved}/{name}" if resolved else name
