"""tar: the node's root file system as one archive."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import archive
from pipeline.store import Store
from pipeline.writers import tar

NAME = "tar"
VERSION = tar.VERSION
NEEDS = ("rootfs",)
OPTIONS = ()
SUFFIXES = (".tar",)
CARRIED = tar.CARRIED


def build(store: Store, rootfs: Digest) -> Digest:
    """Tree {".tar"}; the files' bytes stay where they are in the store."""
    out = store.rope()
    archive.write(store, store.tree(rootfs), out)
    return store.put_tree(files([(".tar", out.finish())]))
