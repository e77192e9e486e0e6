"""tar: the node's root file system as one archive."""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import archive
from pipeline.store import Store
from pipeline.writers import tar

VERSION = tar.VERSION


def build(store: Store, rootfs: Digest) -> Digest:
    """Tree {".tar"}; the files' bytes stay where they are in the store."""
    out = store.rope()
    archive.write(store, store.tree(rootfs), out)
    return store.put_tree(files([(".tar", out.finish())]))


FORMAT = Format(
    "tar", build, needs=("rootfs",), options=(), produces=(".tar",), firmware=Firmware.NONE, carried=tar.CARRIED
)
