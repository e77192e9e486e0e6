"""Sides of a comparison, by name: a build's folder, a file, a stage's result, an image or a pushed node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.inspect import record as records
from pipeline.inspect import software
from pipeline.inspect.comparison import Side
from pipeline.inspect.explain import BuiltFormat, in_order
from pipeline.inspect.listings import is_root, is_tree, of_blob, of_tree, root_of
from pipeline.inspect.record import BuildRecord
from pipeline.kernel import boot_files
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.model.errors import BadInput
from pipeline.model.origins import Origin
from pipeline.project.publish import MANIFEST
from pipeline.readers import HEADER, Listing, Node, look_into
from pipeline.readers.view import HostFile, View
from pipeline.store import Store

KEY = re.compile(r"[0-9a-f]{64}")
SHORT = 19
"""Number of characters of a layer's digest that are shown."""
DEEPEST = 8
"""Maximum nesting of structures around a kernel and its command line."""
ROOTS = ("archives", "cpio", "squashfs", "erofs", "ext4")
"""Structures of root file systems: the files that boot a node are beside them."""


def side(store: Store, name: str) -> Side:
    """The side `name`: a folder with a manifest.json, a file, an action's key, a digest, or a reference (of an image
    or a pushed node).

    BadInput if it is none of them.
    """
    path = Path(name)
    if (path / MANIFEST).is_file():
        return of_record(store, name, records.read(store, name))
    if path.is_file():
        return _of_views(name, {path.name: HostFile(path)})
    if path.is_dir():
        raise BadInput(f"{name}: a folder without {MANIFEST} is not a build")
    if KEY.fullmatch(name):
        return _of_digest(store, name, _recall(store, name))
    try:
        return _of_digest(store, name, Digest.parse(name))
    except InvalidDigest:
        return _of_reference(store, name)


def of_record(store: Store, name: str, record: BuildRecord) -> Side:
    """The build of a record, with its stages' results in the store; of several architectures, this machine's."""
    arch = next(iter(record.manifests)) if len(record.manifests) == 1 else _own_arch()
    if arch not in record.manifests:
        raise BadInput(f"{name}: there is no build for {arch}, only for {', '.join(record.manifests)}")
    formats = record.manifests[arch]["formats"]
    paths = {file: record.file(arch, file) for entry in formats.values() for file in entry["files"]}
    files = _of_views(name, {file: HostFile(path) for file, path in paths.items() if path})
    stages = {stage: attributes for entry in formats.values() for stage, attributes in entry["stages"].items()}
    order = in_order(stages, [store])
    recorded = dict(_recorded_packages(store, stages))
    return files._replace(
        stages={stage: stages[stage]["result"] for stage in order if stages[stage]["result"]},
        packages={**recorded, **files.packages},
        config=files.config or _kernel_config(store, stages),
        owners=_recorded_owners(store, stages),
    )


def built_formats(store: Store, folder: Path) -> dict[str, BuiltFormat]:
    """The formats of the build in `folder`, by name."""
    formats = json.loads((folder / MANIFEST).read_text())["formats"]
    return {name: BuiltFormat(entry, records.inside(folder), store) for name, entry in formats.items()}


def _recall(store: Store, key: str) -> Digest:
    result = store.recall(key)
    if result is None:
        raise BadInput(f"{key}: the store has no result of an action with this key")
    return result


def _of_reference(store: Store, reference: str) -> Side:
    """A pushed node, or an image, which is pulled. BadInput if `reference` is not a reference."""
    from pipeline.oci import reference as references
    from pipeline.oci.error import ImageError

    try:
        full = references.expand(reference)
    except ImageError as error:
        kinds = "neither a build, nor a file, nor a key or digest in the store, nor an image"
        raise BadInput(f"{reference}: {kinds}: {error}") from None
    if not records.is_remote(reference) and not {":", "@"} & set(reference):
        raise BadInput(f"{reference}: no such file or folder (an image is named with its tag: {reference}:latest)")
    if record := records.pushed(store, full):
        return of_record(store, reference, record)
    return _of_digest(store, reference, _pull(store, full))


def _pull(store: Store, reference: str) -> Digest:
    """The tree of an image, which is pulled."""
    from pipeline.oci import resolve
    from pipeline.stages import pull

    arch = _own_arch()
    manifest = resolve.resolve(reference, [arch]).platforms[arch].manifest
    return pull.unpack(store, pull.pull(store, reference=reference, manifest=manifest))


def _own_arch() -> str:
    from pipeline.spec import build

    return build.filled_in(build.Build()).arch[0]


def _of_digest(store: Store, name: str, digest: Digest) -> Side:
    """A stage's result, or any blob. A tree is a root file system, or a format's output files."""
    if not store.has(digest):
        raise BadInput(f"{name}: {digest} is not in the store")
    if not is_tree(store, digest):
        return _of_views(name, {name: of_blob(store, digest)})
    listing = of_tree(store, store.tree(digest))
    if is_root(listing):
        return _complete(Side(name, {}, {}, listing, {}, "", {}))
    return _of_views(name, {path: node.content for path, node in listing.items() if node.content is not None})


def _of_views(name: str, views: Mapping[str, View]) -> Side:
    """Output files, the first root file system in them (an initrd's before a disk's), and the files that boot it."""
    boot: dict[str, Node] = {}
    root: Listing = {}
    for file, view in sorted(views.items(), key=lambda item: "initrd" not in item[0]):
        boot[file] = Node("file", {}, view)
        boot.update(_beside(view, 0))
        root = root or root_of(view) or {}
    return _complete(Side(name, views, {}, root, boot, "", {}))


def _complete(side: Side) -> Side:
    """`side` with its packages and its kernel's configuration."""
    kernels = (node.content for node in side.boot.values() if node.content and boot_files.version(node.content))
    config = next((text for text in map(boot_files.config, kernels) if text), "")
    return side._replace(packages=software.packages(side.root), config=config)


def _beside(view: View, depth: int) -> Iterator[tuple[str, Node]]:
    """Yields files and sections beside a root file system: kernel, command line, the boot loader's configuration."""
    opened = look_into(view) if depth < DEEPEST else None
    if opened is None or opened.structure in ROOTS or is_root(opened.listing):
        return
    for path, node in opened.listing.items():
        if path != HEADER and node.content is not None:
            yield path, node
            yield from _beside(node.content, depth + 1)


def _recorded_packages(store: Store, stages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields `recipe: package` and version, from the records of the stages that fetched packages."""
    for stage in stages.values():
        record = store.record(stage["key"])
        params = record.facts.get("params", {}) if record else {}
        for package in params.get("packages", ()):
            if isinstance(package, dict) and "version" in package:
                yield f"{params.get('recipe', '')}: {package['name']}", package["version"]


def _recorded_owners(store: Store, stages: Mapping[str, Any]) -> dict[str, str]:
    """Path -> its owner, of a build with a bill of materials; {} if there is none, or the store has lost it."""
    from pipeline.recipe import ownership

    result = stages.get("origins", {}).get("result")
    if not result or not store.has(Digest(result)):
        return {}
    return {path: _owner(origin) for path, origin in ownership.load(store, Digest(result)).items()}


def _owner(origin: Origin) -> str:
    """Returns the package with its version, the image with its layer, or what else an origin is."""
    if origin.kind == "image":
        return f"{origin.name} {origin.layer[:SHORT]}"
    kind = {"recipe": "recipe ", "files": "files of "}.get(origin.kind, "")
    return f"{kind}{origin.name or 'nodekiln'} {origin.version}".rstrip()


def _kernel_config(store: Store, stages: Mapping[str, Any]) -> str:
    """The kernel's configuration, from the image that the kernel was taken out of; "" if that is gone."""
    for key in _inputs(store, stages["kernel"]["key"]) if "kernel" in stages else ():
        tree = store.recall(key)
        if tree is None or not is_tree(store, tree):
            continue
        for path, node in of_tree(store, store.tree(tree)).items():
            if boot_files.CONFIG.fullmatch(path) and node.content is not None:
                return software.text(node)
    return ""


def _inputs(store: Store, key: str) -> Iterator[str]:
    """Yields the keys of all direct and indirect inputs of the action `key` that have records, the nearest first."""
    todo = [key]
    while todo:
        record = store.record(todo.pop(0))
        inputs = list(record.facts.get("inputs", {}).values()) if record else []
        yield from inputs
        todo += inputs
