"""raw-bios: a disk that a BIOS boots: a boot record, and one FAT partition with Syslinux, the kernel and the initrd."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages import bootvolume
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import disk, mbr

NAME = "raw-bios"
VERSION = f"1 mbr-{mbr.VERSION} {bootvolume.VERSION}"
NEEDS = ("kernel", "initrd", "syslinux")
OPTIONS = ("size",)
SUFFIXES = ("-bios.img",)
BOOT_CODE = ("usr/lib/SYSLINUX/mbr.bin", "usr/lib/EXTLINUX/mbr.bin", "usr/lib/syslinux/mbr/mbr.bin")
"""The same code in each of Debian's packages."""


def build(store: Store, kernel: Digest, initrd: Digest, syslinux: Digest, size: str | None = None) -> Digest:
    """Tree {"-bios.img"}: the smallest disk of whole MiB, or one of `size` (`1024M`, `2G`).

    Unwritable where there is no kernel, the image has no Syslinux, or `size` is too small.
    """
    wanted = disk.size(size)
    contents = bootvolume.linux_files(store, kernel, initrd)
    volume = bootvolume.bios(store, contents, syslinux, wanted and wanted - disk.MIB)
    partition = mbr.Partition(mbr.FIRST, volume.sectors, mbr.FAT[volume.bits], active=True)
    identity = disk.identity(NAME, volume.content).time_low
    out = store.rope()
    out.write(mbr.record([partition], identity, store.bytes(bootvolume.first(store, syslinux, *BOOT_CODE))))
    out.zeros(disk.MIB - mbr.SECTOR)
    out.extend(volume.content)
    return store.put_tree(files([("-bios.img", out.finish())]))
