"""raw-efi: a disk that UEFI boots: a GUID partition table, and an EFI system partition with the node's one program."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.formats import part
from pipeline.store import Store
from pipeline.tree import complete, cut, files
from pipeline.writers import disk, fat, gpt, mbr, pe

NAME = "raw-efi"
VERSION = f"1 fat-{fat.VERSION} gpt-{gpt.VERSION}"
NEEDS = ("uki",)
OPTIONS = ("size",)
LABEL = "NODE"
HEAD = 4096
"""Bytes of the program that its headers are in."""


def build(store: Store, uki: Digest, size: str | None = None) -> Digest:
    """Tree {"-efi.img"}: the smallest disk of whole MiB, or one of `size` (`1024M`, `2G`)."""
    program = part(store, uki, ".efi")
    machine = pe.MACHINES[pe.machine(store.bytes(cut(program, 0, HEAD)))]
    identity = disk.identity(NAME, program)
    wanted = disk.size(size)
    plan = fat.plan(complete(files([(f"EFI/BOOT/BOOT{machine}.EFI", program)])), wanted and wanted - 2 * disk.MIB)

    partition = gpt.Partition(
        mbr.FIRST, plan.geometry.sectors, gpt.EFI_SYSTEM, disk.identity("esp", program), "EFI System"
    )
    sectors = mbr.FIRST + plan.geometry.sectors + disk.MIB // disk.SECTOR
    head, tail = gpt.write([partition], sectors, identity)
    out = store.rope()
    out.write(head)
    out.zeros(mbr.FIRST * disk.SECTOR - len(head))
    fat.write(plan, out, LABEL, fat.boot_sector(plan, LABEL, identity.time_low, mbr.FIRST))
    out.zeros(disk.MIB - len(tail))
    out.write(tail)
    return store.put_tree(files([("-efi.img", out.finish())]))
