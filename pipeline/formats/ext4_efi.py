"""ext4-efi: the disk of ext4 for UEFI alone, with one copy of the kernel."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.formats import Drive, Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition, disk_with_root
from pipeline.stages.partitions import Disk
from pipeline.store import Store
from pipeline.writers import ext4, ext4inode, gpt

VERSION = disk_with_root.VERSION


def build(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, systemd_boot: Digest,
    sign: Any = None, **options: Any,
) -> Digest:  # fmt: skip
    """Tree {"-ext4-efi.img"}; options as for ext4."""
    wanted = Disk(**options)
    node = disk_with_root.node(store, kernel, bootrd, rootfs, release, systemd_boot, sign)
    boot = disk_with_root.booted(
        partial(boot_partition.efi, store, boot_partition.efi_files(store, node.program)), wanted
    )
    return store.put_tree(files([("-ext4-efi.img", disk_with_root.written(store, node, boot, wanted))]))


FORMAT = Format(
    "ext4-efi", build, needs=("kernel", "bootrd", "rootfs", "release", Recipe("systemd-boot")),
    options=("size", "label", "partitions", "sign"), produces=("-ext4-efi.img",), firmware=Firmware.UEFI, drive=Drive(),
    loaders=(disk_with_root.EFI_STUB,), carried=ext4inode.CARRIED, largest_file=ext4.LARGEST_FILE,
    most_partitions=gpt.ENTRIES - 1, program=disk_with_root.program,
)  # fmt: skip
