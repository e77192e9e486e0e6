"""raw-bios: a disk that a BIOS boots: a boot record, and one FAT partition with Syslinux, the kernel and the initrd."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.container.cmdline import SYSLINUX
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import bootvolume
from pipeline.stages import partitions as disks
from pipeline.store import Store
from pipeline.writers import disk, mbr

NAME = "raw-bios"
VERSION = disks.VERSION
NEEDS = ("kernel", "initrd", "syslinux")
OPTIONS = disks.Disk._fields
SUFFIXES = ("-bios.img",)
LOADERS = (SYSLINUX,)
MOST_PARTITIONS = mbr.MOST
LARGEST_DISK = disk.LARGEST
DISK = True
BOOT_CODE = ("usr/lib/SYSLINUX/mbr.bin", "usr/lib/EXTLINUX/mbr.bin", "usr/lib/syslinux/mbr/mbr.bin")
"""The same code in each of Debian's packages."""


def build(store: Store, kernel: Digest, initrd: Digest, syslinux: Digest, **options: Any) -> Digest:
    """Tree {"-bios.img"}: a disk as `options` want it (stages.partitions.Disk).

    Unwritable where there is no kernel, or the image has no Syslinux. StageProblem where `size` is too small.
    """
    wanted = disks.Disk(**options)
    contents = bootvolume.linux_files(store, kernel, initrd)
    volume = disks.booted(partial(bootvolume.bios, store, contents, syslinux), wanted, disks.MBR_SPARE)
    code = store.bytes(bootvolume.first(store, syslinux, *BOOT_CODE))
    return store.put_tree(files([("-bios.img", disks.write_mbr(store, volume, wanted, NAME, code))]))
