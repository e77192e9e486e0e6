"""raw-efi: a disk that UEFI boots: a GUID partition table, and an EFI system partition with the node's one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.digest import Digest
from pipeline.stages import bootvolume
from pipeline.stages import partitions as disks
from pipeline.store import Store
from pipeline.tree import files

NAME = "raw-efi"
VERSION = disks.VERSION
NEEDS = ("uki",)
OPTIONS = ("size", "label", "partitions")
SUFFIXES = ("-efi.img",)
DISK = True


def build(
    store: Store,
    uki: Digest,
    size: str | None = None,
    label: str | None = None,
    partitions: Sequence[Mapping[str, Any]] = (),
) -> Digest:
    """Tree {"-efi.img"}: the smallest disk of whole MiB that has room for all, or one of `size` (`1024M`, `2G`)."""
    wanted = disks.Disk(size, label, partitions)
    make = partial(bootvolume.efi, store, bootvolume.efi_files(store, uki))
    volume = disks.booted(make, wanted, disks.GPT_SPARE)
    return store.put_tree(files([("-efi.img", disks.write_gpt(store, volume, wanted))]))
