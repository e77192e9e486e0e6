"""raw-hybrid: one disk (or USB stick) that boots by BIOS and by UEFI, from one volume in a GUID partition table."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages import bootvolume
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import disk, gpt

NAME = "raw-hybrid"
VERSION = f"1 gpt-{gpt.VERSION} {bootvolume.VERSION}"
NEEDS = ("kernel", "initrd", "uki", "syslinux")
OPTIONS = ("size",)
SUFFIXES = ("-hybrid.img",)
BOOT_CODE = ("usr/lib/SYSLINUX/gptmbr.bin", "usr/lib/EXTLINUX/gptmbr.bin", "usr/lib/syslinux/mbr/gptmbr.bin")
"""Starts the volume that is marked as bootable by BIOS."""


def build(
    store: Store, kernel: Digest, initrd: Digest, uki: Digest, syslinux: Digest, size: str | None = None
) -> Digest:
    """Tree {"-hybrid.img"}, which holds the kernel and the initrd twice: each firmware has its own way to load them."""
    wanted = disk.size(size)
    contents = bootvolume.linux_files(store, kernel, initrd) | bootvolume.efi_files(store, uki)
    volume = bootvolume.bios(store, contents, syslinux, wanted and wanted - 2 * disk.MIB)
    code = store.bytes(bootvolume.first(store, syslinux, *BOOT_CODE))
    out = store.rope()
    gpt.write_one(volume.content, "EFI System", gpt.EFI_SYSTEM, out, disk.identity, gpt.BIOS_BOOTABLE, code)
    return store.put_tree(files([("-hybrid.img", out.finish())]))
