"""CDs that a machine's firmware starts a node from: with ISOLINUX for BIOS, with an EFI program for UEFI, or both."""

from __future__ import annotations

from functools import partial

from pipeline.container.cmdline import SYSLINUX
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Tree, complete, files, length
from pipeline.ondisk.iso9660 import BLOCK
from pipeline.ondisk.mbr import EFI_SYSTEM
from pipeline.stages import bootvolume
from pipeline.stages.bootvolume import part
from pipeline.stages.kept import kept
from pipeline.store import Store
from pipeline.writers import disk, iso9660, isolinux, mbr, syslinux

VERSION = f"1 iso9660-{iso9660.VERSION} isolinux-{isolinux.VERSION} mbr-{mbr.VERSION} {bootvolume.VERSION}"
EFI_IMAGE = "boot/efi.img"
HIDDEN = 0x17
"""Type of the partition that stands for the whole disc: nothing else touches it."""
MOST_SECTORS = 0xFFFF
"""A longer EFI image says 1, which UEFI takes for "up to the end of the disc"."""


def bios(store: Store, kernel: Digest, initrd: Digest, image: Digest) -> dict[str, Content]:
    """What ISOLINUX (from `image`) boots."""
    return {
        "initrd.img": part(store, initrd, "initrd.img"),
        "kernel": part(store, kernel, "kernel"),
        isolinux.CONFIG: store.content(
            syslinux.config(SYSLINUX.checked(store.bytes(part(store, kernel, "cmdline")).decode()))
        ),
        isolinux.MODULE: part(store, image, isolinux.MODULE_SOURCE),
        isolinux.PROGRAM: part(store, image, isolinux.PROGRAM_SOURCE),
    }


def efi(store: Store, uki: Digest, label: str | None) -> dict[str, Content]:
    """What UEFI boots: a FAT volume in a file."""
    return {EFI_IMAGE: bootvolume.efi(store, bootvolume.efi_files(store, uki), None, label, hidden=0).content}


def write(store: Store, contents: dict[str, Content], label: str | None, hybrid_code: bytes = b"") -> Content:
    """A disc with `contents`; with `hybrid_code` (isohdpfx.bin) it starts from a disk, too."""
    boots, keep = [], partial(kept, store)
    if isolinux.PROGRAM in contents:
        boots.append(iso9660.Boot(isolinux.PROGRAM, iso9660.BIOS, isolinux.SECTORS))
        program = store.bytes(contents[isolinux.PROGRAM])
        block = iso9660.plan(_tree(contents), keep, [*boots, *_efi_boot(contents)]).block(isolinux.PROGRAM)
        contents = {**contents, isolinux.PROGRAM: store.content(isolinux.install(program, block))}
    plan = iso9660.plan(_tree(contents), keep, [*boots, *_efi_boot(contents)])
    out = store.rope()
    iso9660.write(plan, out, label or bootvolume.LABEL, _record(plan, contents, hybrid_code) if hybrid_code else b"")
    out.zeros(-out.tell() % disk.MIB)
    return out.finish()


def _tree(contents: dict[str, Content]) -> Tree:
    return complete(files(contents.items()))


def _efi_boot(contents: dict[str, Content]) -> list[iso9660.Boot]:
    if EFI_IMAGE not in contents:
        return []
    sectors = length(contents[EFI_IMAGE]) // disk.SECTOR
    return [iso9660.Boot(EFI_IMAGE, iso9660.EFI, sectors if sectors <= MOST_SECTORS else 1)]


def _record(plan: iso9660.IsoLayout, contents: dict[str, Content], code: bytes) -> bytes:
    """A boot record: the whole disc, active, and the EFI system partition in it."""
    whole = plan.end * BLOCK
    volume = mbr.MbrPartition(
        plan.block(EFI_IMAGE) * BLOCK // disk.SECTOR,
        length(contents[EFI_IMAGE]) // disk.SECTOR,
        EFI_SYSTEM,
    )
    disc = mbr.MbrPartition(0, (whole + -whole % disk.MIB) // disk.SECTOR, HIDDEN, active=True)
    identity = disk.identity("disc", *contents.values()).time_low
    return mbr.record([disc, volume], identity, isolinux.hybrid_code(code, plan.block(isolinux.PROGRAM)))
