"""uki: the whole node as one EFI program (a unified kernel image), which a UEFI machine starts as it is."""

from __future__ import annotations

from pipeline.container.cmdline import EFI_STUB
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import unified
from pipeline.store import Store

NAME = "uki"
VERSION = unified.VERSION
NEEDS = ("kernel", "initrd", "release", "systemd-boot")
OPTIONS = ()
SUFFIXES = (".efi",)
LOADERS = (EFI_STUB,)


def build(store: Store, kernel: Digest, initrd: Digest, release: Digest, systemd_boot: Digest) -> Digest:
    """Tree {".efi"}."""
    return store.put_tree(files([(".efi", unified.program(store, kernel, initrd, release, systemd_boot))]))
