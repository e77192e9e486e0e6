"""uki: the whole node as one EFI program (a unified kernel image), which a UEFI machine starts as it is."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.language.cmdline import EFI_STUB
from pipeline.stages import unified
from pipeline.store import Store
from pipeline.tree import files

NAME = "uki"
VERSION = unified.VERSION
NEEDS = ("kernel", "initrd", "release", "systemd-boot")
OPTIONS = ()
SUFFIXES = (".efi",)
LOADERS = (EFI_STUB,)


def build(store: Store, kernel: Digest, initrd: Digest, release: Digest, systemd_boot: Digest) -> Digest:
    """Tree {".efi"}."""
    return store.put_tree(files([(".efi", unified.program(store, kernel, initrd, release, systemd_boot))]))
