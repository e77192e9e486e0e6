"""A container's bundle: its root file system, and the two documents that say how it runs.

    lower/         the image, for a container that may write: an overlay goes over it
    tmp/           where the overlay keeps what is written
    rootfs/        the root file system itself: a mount point, or the image where the root is read-only
    config.json    for runc: the OCI runtime specification
    runtime.json   for LinuxKit's init: what to mount and make before

The same image in a second bundle is not there twice: its runtime.json points at the first one (LinuxKit,
moby/build/image.go).
"""

from __future__ import annotations

from typing import Any

from pipeline.container import image_checks, linuxkit_compat, runtime_spec
from pipeline.container.label import read_label
from pipeline.container.runtime_spec import MergedConfig
from pipeline.model.digest import Digest
from pipeline.model.tree import Directory, File, Tree, below, complete
from pipeline.oci.image import image_config
from pipeline.stages.root_image import root_image
from pipeline.store import Store

VERSION = 1


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
    linuxkit: bool = False,
) -> Digest:
    """The tree of the bundle that lies at `prefix`.

    manifest, image: the image's manifest and tree. entry: what the spec says, as JSON. ids: container names that may
    stand for ids. shared: `prefix` and `readonly` (None where the entry does not say) of an earlier bundle of the same
    image. linuxkit: with LinuxKit's own mistakes (pipeline.container.linuxkit_compat). Raises StageProblem.
    """
    tree, run = store.tree(image), image_config(store, manifest)
    label = read_label(run["Labels"])
    if linuxkit:
        entry, label = linuxkit_compat.as_parsed(entry), linuxkit_compat.as_parsed(label)
    merged = MergedConfig(entry, label)
    config = runtime_spec.config(merged, run, image_checks.resolver(store, tree, ids))
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
    """The folder of a bundle that the image is in."""
    return "rootfs" if readonly else "lower"
