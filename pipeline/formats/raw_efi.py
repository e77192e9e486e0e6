"""raw-efi: a disk that UEFI boots: a GUID partition table, and an EFI system partition with the node's one program."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages import bootvolume
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import disk, gpt

NAME = "raw-efi"
VERSION = f"1 gpt-{gpt.VERSION} {bootvolume.VERSION}"
NEEDS = ("uki",)
OPTIONS = ("size",)
SUFFIXES = ("-efi.img",)


def build(store: Store, uki: Digest, size: str | None = None) -> Digest:
    """Tree {"-efi.img"}: the smallest disk of whole MiB, or one of `size` (`1024M`, `2G`)."""
    wanted = disk.size(size)
    volume = bootvolume.efi(store, bootvolume.efi_files(store, uki), wanted and wanted - 2 * disk.MIB)
    out = store.rope()
    gpt.write_one(volume.content, "EFI System", gpt.EFI_SYSTEM, out, disk.identity)
    return store.put_tree(files([("-efi.img", out.finish())]))
