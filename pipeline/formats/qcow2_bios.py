"""qcow2-bios: the disk of raw-bios as QEMU's and OpenStack's own kind of image."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import qcow2

NAME = "qcow2-bios"
VERSION = qcow2.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".qcow2",)


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".qcow2"}; its clusters refer to the raw disk."""
    out = store.rope()
    qcow2.write(part(store, raw, "-bios.img"), out)
    return store.put_tree(files([(".qcow2", out.finish())]))
