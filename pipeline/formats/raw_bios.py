"""raw-bios: a disk with a boot record, and a FAT partition with Syslinux, the kernel and the initrd."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.container.cmdline import SYSLINUX
from pipeline.formats import Drive, Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition
from pipeline.stages import partitions as disks
from pipeline.store import Store
from pipeline.writers import disk, mbr

VERSION = disks.VERSION
BOOT_CODE = ("usr/lib/SYSLINUX/mbr.bin", "usr/lib/EXTLINUX/mbr.bin", "usr/lib/syslinux/mbr/mbr.bin")
"""Paths of the boot code in Debian's packages. Each has the same code."""


def build(store: Store, kernel: Digest, initrd: Digest, syslinux: Digest, **options: Any) -> Digest:
    """Tree {"-bios.img"}: a disk with the `options` of stages.partitions.Disk.

    FormatError where there is no kernel, or the image has no Syslinux. StageProblem where `size` is too small.
    """
    wanted = disks.Disk(**options)
    contents = boot_partition.linux_files(store, kernel, initrd)
    volume = disks.booted(partial(boot_partition.bios, store, contents, syslinux), wanted, disks.MBR_SPARE)
    code = store.bytes(boot_partition.first(store, syslinux, *BOOT_CODE))
    return store.put_tree(files([("-bios.img", disks.write_mbr(store, volume, wanted, FORMAT.name, code))]))


FORMAT = Format(
    "raw-bios", build, needs=("kernel", "initrd", Recipe("syslinux")), options=("size", "label", "partitions"),
    produces=("-bios.img",), firmware=Firmware.BIOS, drive=Drive(), loaders=(SYSLINUX,), largest_disk=disk.LARGEST,
    most_partitions=mbr.MOST,
)  # fmt: skip
