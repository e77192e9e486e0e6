"""ext4-efi: the disk of the format ext4 for UEFI alone, and so for arm64 as well: the kernel is in it only once."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages import bootvolume, rootdisk
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import ext4

NAME = "ext4-efi"
VERSION = rootdisk.VERSION
NEEDS = ("kernel", "bootrd", "rootfs", "systemd-boot")
OPTIONS = ("size", "label")
SUFFIXES = ("-ext4-efi.img",)
DISK = True
LARGEST_FILE = ext4.LARGEST_FILE


def build(
    store: Store,
    kernel: Digest,
    bootrd: Digest,
    rootfs: Digest,
    systemd_boot: Digest,
    size: str | None = None,
    label: str | None = None,
) -> Digest:
    """Tree {"-ext4-efi.img"}; size and label as for ext4."""
    node = rootdisk.node(store, kernel, bootrd, rootfs, systemd_boot)
    boot = bootvolume.efi(store, bootvolume.efi_files(store, node.program), None, label).content
    return store.put_tree(files([("-ext4-efi.img", rootdisk.written(store, node, boot, size))]))
