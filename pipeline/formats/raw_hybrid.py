"""raw-hybrid: a disk or USB stick with a GUID partition table, and one volume for both firmwares."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.container.cmdline import SYSLINUX
from pipeline.formats import Drive, Firmware, Format, Output, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition
from pipeline.stages import partitions as disks
from pipeline.store import Store
from pipeline.writers import gpt

VERSION = disks.VERSION
BOOT_CODE = ("usr/lib/SYSLINUX/gptmbr.bin", "usr/lib/EXTLINUX/gptmbr.bin", "usr/lib/syslinux/mbr/gptmbr.bin")
"""Starts the volume that is marked as bootable by BIOS."""


def build(store: Store, kernel: Digest, initrd: Digest, uki: Digest, syslinux: Digest, **options: Any) -> Digest:
    """Tree {"-hybrid.img"}, which holds the kernel and the initrd twice: each firmware has its own way to load them.

    options: see stages.partitions.Disk.
    """
    wanted = disks.Disk(**options)
    contents = boot_partition.linux_files(store, kernel, initrd) | boot_partition.efi_files(store, uki)
    volume = disks.booted(partial(boot_partition.bios, store, contents, syslinux), wanted, disks.GPT_SPARE)
    code = store.bytes(boot_partition.first(store, syslinux, *BOOT_CODE))
    content = disks.write_gpt(store, volume, wanted, gpt.BIOS_BOOTABLE, code)
    return store.put_tree(files([("-hybrid.img", content)]))


FORMAT = Format(
    "raw-hybrid", build, needs=("kernel", "initrd", Output("uki"), Recipe("syslinux")),
    options=("size", "label", "partitions"), produces=("-hybrid.img",), firmware=Firmware.EITHER, drive=Drive(),
    loaders=(SYSLINUX,), most_partitions=gpt.ENTRIES,
)  # fmt: skip
