"""uki: the whole node as one EFI program (a unified kernel image)."""

from __future__ import annotations

from pipeline.container.cmdline import EFI_STUB
from pipeline.formats import Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import unified
from pipeline.store import Store

VERSION = unified.VERSION


def build(store: Store, kernel: Digest, initrd: Digest, release: Digest, systemd_boot: Digest) -> Digest:
    return store.put_tree(files([(".efi", unified.program(store, kernel, initrd, release, systemd_boot))]))


FORMAT = Format(
    "uki", build, needs=("kernel", "initrd", "release", Recipe("systemd-boot")), options=(), produces=(".efi",),
    firmware=Firmware.UEFI, loaders=(EFI_STUB,),
)  # fmt: skip
