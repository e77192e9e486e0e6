"""qcow2-bios: the disk of raw-bios as QEMU's and OpenStack's own kind of image."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.store import Store
from pipeline.tree import File, files
from pipeline.writers import qcow2

NAME = "qcow2-bios"
VERSION = qcow2.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".qcow2",)


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".qcow2"}; its clusters refer to the raw disk."""
    disk = store.tree(raw)["-bios.img"]
    assert type(disk) is File
    out = store.rope()
    qcow2.write(disk.content, out)
    return store.put_tree(files([(".qcow2", out.finish())]))
