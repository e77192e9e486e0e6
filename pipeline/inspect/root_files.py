"""The entries that the root of a running node has to have, out of the trees of its build."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline import formats
from pipeline.incremental import sha256
from pipeline.inspect.node_report import LINK_MODE, ReportedEntry
from pipeline.model.digest import Digest
from pipeline.model.tree import Device, Directory, Entry, File, Symlink, Tree
from pipeline.store.errors import Missing

if TYPE_CHECKING:
    from pipeline.planning.plan import Plan
    from pipeline.store import Store

LEFT_OUT = "boot/"
"""Prefix of what formats that boot leave out of the root."""


def of_build(store: Store, plan: Plan, entry: Mapping[str, Any], name: str) -> Tree | None:
    """Returns the root's tree of the format `name`, whose entry in a manifest is `entry`.

    plan: that of the spec as it is now; its root is built again if need be, where the record is of the same build. None
    if the tree is in neither.
    """
    if formats.known(name) and not plan.problems(name) and plan.format(name).key == entry["key"]:
        return plan.products.rootfs.use(store, store.tree)
    result = entry["stages"].get("rootfs", {}).get("result")
    try:
        return store.tree(Digest.parse(result)) if result else None
    except Missing:
        return None


def entries(store: Store, tree: Tree) -> dict[str, ReportedEntry]:
    """Returns what the node has to report of a tree."""
    return {path: _reported(store, entry) for path, entry in tree.items() if path and not path.startswith(LEFT_OUT)}


def mount_points(store: Store, tree: Tree) -> list[str]:
    """Returns the places outside of bundles at which their runtime.json mounts something on the node."""
    documents = (file for path, file in tree.files().items() if path.endswith("/runtime.json"))
    own = (json.loads(store.bytes(file.content)) for file in documents)
    places = [mount["destination"] for runtime in own for mount in runtime.get("mounts") or ()]
    return [place for place in places if not place.startswith("/containers/")]


def _reported(store: Store, entry: Entry) -> ReportedEntry:
    mode = stat.S_IMODE(entry.mode)
    if type(entry) is File:
        return ReportedEntry("f", mode, entry.uid, entry.gid, sha256(store, entry.content).hex)
    if type(entry) is Symlink:
        return ReportedEntry("l", LINK_MODE, entry.uid, entry.gid, entry.target)
    kind = "d" if type(entry) is Directory else entry.kind if type(entry) is Device else ""
    return ReportedEntry(kind, mode, entry.uid, entry.gid, "")
