"""iso-efi-initrd: what iso-efi is (the node runs from its initrd in both) under LinuxKit's other name."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import bootdisc
from pipeline.store import Store

NAME = "iso-efi-initrd"
VERSION = bootdisc.VERSION
NEEDS = ("uki",)
OPTIONS = ("label",)
SUFFIXES = ("-efi-initrd.iso",)
DISK = True


def build(store: Store, uki: Digest, label: str | None = None) -> Digest:
    """Tree {"-efi-initrd.iso"}."""
    return store.put_tree(files([("-efi-initrd.iso", bootdisc.write(store, bootdisc.efi(store, uki, label), label))]))
