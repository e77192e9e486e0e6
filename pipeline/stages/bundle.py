"""A container's bundle: its root file system, and two documents that configure it.

    lower/         the image of a writable container, below an overlay
    tmp/           upper and work directories of the overlay
    rootfs/        the root file system: a mount point, or the image of a read-only container
    config.json    for runc (OCI runtime specification)
    runtime.json   for LinuxKit's init: mounts and directories to make before the start

A second bundle of an image does not contain it: its runtime.json refers to the first (LinuxKit, moby/build/image.go).
"""

from __future__ import annotations

from typing import Any

from pipeline.container import image_checks, linuxkit_compat, runtime_spec, sandbox
from pipeline.container.label import read_label
from pipeline.container.runtime_spec import MergedConfig
from pipeline.model.digest import Digest
from pipeline.model.tree import Directory, File, Tree, below, complete
from pipeline.oci.image import image_config
from pipeline.stages.root_image import root_image
from pipeline.store import Store

VERSION = 3


def bundle(
    store: Store,
    manifest: Digest,
    image: Digest,
    *,
    prefix: str,
    entry: dict[str, Any],
    ids: dict[str, int],
    shared: dict[str, Any] | None,
    epoch: int,
    arch: str,
    linuxkit: bool = False,
) -> Digest:
    """Returns the tree of the bundle at `prefix`.

    manifest, image: the image's manifest and tree. entry: the spec's, as JSON. ids: container names that stand for ids.
    shared: `prefix` and `readonly` (None if the entry has none) of an earlier bundle of the same image. arch: the
    node's. linuxkit: with LinuxKit's own mistakes (pipeline.container.linuxkit_compat), and no sandbox. StageProblem.
    """
    tree, run = store.tree(image), image_config(store, manifest)
    label = read_label(run["Labels"])
    if linuxkit:
        entry, label = linuxkit_compat.as_parsed(entry), linuxkit_compat.as_parsed(label)
    gains = sandbox.gains_rights(tree)
    merged, profile = runtime_spec.sandboxed(MergedConfig(entry, label), arch, gains, linuxkit)
    config = runtime_spec.config(merged, run, image_checks.resolver(store, tree, ids), profile)
    image_checks.warn_about(merged, config, run["User"], tree)
    readonly = bool(merged.get("readonly", False))
    own = root = f"{prefix}/{_place(readonly)}"
    if shared is not None:
        first = shared["readonly"] if shared["readonly"] is not None else label.get("readonly", False)
        root = f"{shared['prefix']}/{_place(first)}"
    runtime = runtime_spec.runtime(merged, runtime_spec.root_mounts(prefix, root, readonly))
    files = Tree((f"{prefix}/{name}", Directory(0o755, 0, 0, epoch)) for name in _folders(readonly, root == own))
    if root == own:
        files.update(below(own, root_image(store, tree, epoch)))
    for name, document in (("config.json", config), ("runtime.json", runtime)):
        files[f"{prefix}/{name}"] = File(0o644, 0, 0, epoch, (), store.content(runtime_spec.marshal(document)))
    return store.put_tree(complete(files, mtime=epoch).ordered())


def _folders(readonly: bool, has_image: bool) -> tuple[str, ...]:
    if readonly:
        return ("rootfs",)
    return ("lower", "rootfs", "tmp") if has_image else ("rootfs", "tmp")


def _place(readonly: bool) -> str:
    """Returns the folder of a bundle that contains the image."""
    return "rootfs" if readonly else "lower"
