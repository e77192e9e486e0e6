"""iso-bios: a CD that a BIOS boots (El Torito): ISOLINUX, the kernel and the initrd."""

from __future__ import annotations

from pipeline.container.cmdline import SYSLINUX
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import bootdisc
from pipeline.store import Store

NAME = "iso-bios"
VERSION = bootdisc.VERSION
NEEDS = ("kernel", "initrd", "syslinux")
OPTIONS = ("label",)
SUFFIXES = (".iso",)
LOADERS = (SYSLINUX,)
DISK = True


def build(store: Store, kernel: Digest, initrd: Digest, syslinux: Digest, label: str | None = None) -> Digest:
    """Tree {".iso"}."""
    contents = bootdisc.bios(store, kernel, initrd, syslinux)
    return store.put_tree(files([(".iso", bootdisc.write(store, contents, label))]))
