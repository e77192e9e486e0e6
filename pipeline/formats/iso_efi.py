"""iso-efi: a CD that UEFI boots (El Torito): an EFI system partition with the node's one program."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import bootdisc
from pipeline.store import Store

NAME = "iso-efi"
VERSION = bootdisc.VERSION
NEEDS = ("uki",)
OPTIONS = ("label",)
SUFFIXES = ("-efi.iso",)
DISK = True


def build(store: Store, uki: Digest, label: str | None = None) -> Digest:
    """Tree {"-efi.iso"}."""
    return store.put_tree(files([("-efi.iso", bootdisc.write(store, bootdisc.efi(store, uki, label), label))]))
