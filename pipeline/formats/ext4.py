"""ext4: a disk with the root as an ext4 file system: only the kernel and a small initrd are loaded into memory.

Two partitions: the volume of raw-hybrid, whose initrd is the small one that mounts a root (bootrd), and the root, which
the command line names by PARTUUID. The boot loaders have a FAT of their own because that is what both firmwares start
from; Syslinux could lie in the ext4 itself, but it boots no UEFI, and the root would have to do without 64-bit
addresses and whatever else Syslinux does not read. The root is mounted read-only: /run, /tmp and /var are in memory.
"""

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
BOOT_CODE = ("usr/lib/SYSLINUX/gptmbr.bin", "usr/lib/EXTLINUX/gptmbr.bin", "usr/lib/syslinux/mbr/gptmbr.bin")


def build(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, syslinux: Digest,
    systemd_boot: Digest, sign: Any = None, **options: Any,
) -> Digest:  # fmt: skip
    """Tree {"-ext4.img"}: a disk with the `options` of stages.partitions.Disk. The root is without boot/.

    FormatError for what ext4 cannot carry, or where `size` is too small.
    """
    wanted = Disk(**options)
    node = disk_with_root.node(store, kernel, bootrd, rootfs, release, systemd_boot, sign)
    contents = boot_partition.linux_files(store, node.kernel, bootrd) | boot_partition.efi_files(store, node.program)
    boot = disk_with_root.booted(partial(boot_partition.bios, store, contents, syslinux), wanted)
    code = store.bytes(boot_partition.first(store, syslinux, *BOOT_CODE))
    content = disk_with_root.written(store, node, boot, wanted, gpt.BIOS_BOOTABLE, code)
    return store.put_tree(files([("-ext4.img", content)]))


def program(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, syslinux: Digest,
    systemd_boot: Digest,
) -> Digest:  # fmt: skip
    """Tree {".efi"}: the program that UEFI starts, unsigned."""
    return disk_with_root.program(store, kernel, bootrd, rootfs, release, systemd_boot)


FORMAT = Format(
    "ext4", build, needs=("kernel", "bootrd", "rootfs", "release", Recipe("syslinux"), Recipe("systemd-boot")),
    options=("size", "label", "partitions", "sign"), produces=("-ext4.img",), firmware=Firmware.EITHER, drive=Drive(),
    loaders=(disk_with_root.SYSLINUX, disk_with_root.EFI_STUB), carried=ext4inode.CARRIED,
    largest_file=ext4.LARGEST_FILE, most_partitions=gpt.ENTRIES - 1, program=program,
)  # fmt: skip
