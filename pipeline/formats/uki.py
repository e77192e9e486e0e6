"""uki: the whole node as one EFI program (a unified kernel image)."""

from __future__ import annotations

from typing import Any

from pipeline.container.cmdline import EFI_STUB
from pipeline.formats import Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import signed, unified
from pipeline.store import Store

VERSION = unified.VERSION


def program(store: Store, kernel: Digest, initrd: Digest, release: Digest, systemd_boot: Digest) -> Digest:
    """Tree {".efi"}, unsigned."""
    return store.put_tree(files([(".efi", unified.program(store, kernel, initrd, release, systemd_boot))]))


def build(store: Store, *needs: Digest, sign: Any = None) -> Digest:
    """Tree {".efi"}. sign: a signer as in stages.signed, or None."""
    return signed.signed(store, program(store, *needs), sign)


FORMAT = Format(
    "uki", build, needs=("kernel", "initrd", "release", Recipe("systemd-boot")), options=("sign",),
    produces=(".efi",), firmware=Firmware.UEFI, loaders=(EFI_STUB,), program=program,
)  # fmt: skip
