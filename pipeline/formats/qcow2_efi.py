"""qcow2-efi: the disk of raw-efi as QEMU's and OpenStack's own kind of image."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import qcow2

NAME = "qcow2-efi"
VERSION = qcow2.VERSION
NEEDS = ("raw-efi",)
OPTIONS = ()
SUFFIXES = ("-efi.qcow2",)


def build(store: Store, raw: Digest) -> Digest:
    """Tree {"-efi.qcow2"}; its clusters refer to the raw disk."""
    out = store.rope()
    qcow2.write(part(store, raw, "-efi.img"), out)
    return store.put_tree(files([("-efi.qcow2", out.finish())]))
