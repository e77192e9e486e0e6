"""raw-efi: a disk with a GUID partition table, and an EFI system partition with the node as one program."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition
from pipeline.stages import partitions as disks
from pipeline.store import Store
from pipeline.writers import gpt

VERSION = disks.VERSION


def build(store: Store, uki: Digest, **options: Any) -> Digest:
    """Tree {"-efi.img"}: a disk with the `options` of stages.partitions.Disk."""
    wanted = disks.Disk(**options)
    make = partial(boot_partition.efi, store, boot_partition.efi_files(store, uki))
    volume = disks.booted(make, wanted, disks.GPT_SPARE)
    return store.put_tree(files([("-efi.img", disks.write_gpt(store, volume, wanted))]))


FORMAT = Format(
    "raw-efi", build, needs=(Output("uki"),), options=("size", "label", "partitions"), produces=("-efi.img",),
    firmware=Firmware.UEFI, drive=Drive(), most_partitions=gpt.ENTRIES,
)  # fmt: skip
