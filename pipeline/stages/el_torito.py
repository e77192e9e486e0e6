"""Bootable CDs (El Torito): ISOLINUX for BIOS, an EFI program for UEFI, or both."""

from __future__ import annotations

from functools import partial

from pipeline.container.cmdline import SYSLINUX
from pipeline.incremental import memoized
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Tree, complete, files, length
from pipeline.ondisk.iso9660 import BLOCK
from pipeline.ondisk.mbr import EFI_SYSTEM
from pipeline.stages import boot_partition
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import disk, iso9660, isolinux, mbr, syslinux

VERSION = f"1 iso9660-{iso9660.VERSION} isolinux-{isolinux.VERSION} mbr-{mbr.VERSION} {boot_partition.VERSION}"
EFI_IMAGE = "boot/efi.img"
HIDDEN = 0x17
"""Type of the MBR partition of the whole disc, which other systems leave alone."""
MOST_SECTORS = 0xFFFF
"""Maximum sectors of an EFI image in the catalogue. For a longer one it has 1: up to the end of the disc (UEFI)."""


def bios(store: Store, kernel: Digest, initrd: Digest, image: Digest) -> dict[str, Content]:
    """Returns the files for BIOS, with ISOLINUX from `image`."""
    return {
        "initrd.img": required_file(store, initrd, "initrd.img"),
        "kernel": required_file(store, kernel, "kernel"),
        isolinux.CONFIG: store.content(
            syslinux.config(SYSLINUX.check(store.bytes(required_file(store, kernel, "cmdline")).decode()))
        ),
        isolinux.MODULE: required_file(store, image, isolinux.MODULE_SOURCE),
        isolinux.PROGRAM: required_file(store, image, isolinux.PROGRAM_SOURCE),
    }


def efi(store: Store, uki: Digest, label: str | None) -> dict[str, Content]:
    """Returns the file for UEFI, a FAT volume."""
    return {EFI_IMAGE: boot_partition.efi(store, boot_partition.efi_files(store, uki), None, label, hidden=0).content}


def write(store: Store, contents: dict[str, Content], label: str | None, hybrid_code: bytes = b"") -> Content:
    """Returns a disc with the files `contents`; with `hybrid_code` (isohdpfx.bin) it boots as a disk, too."""
    boots, keep = [], partial(memoized, store)
    if isolinux.PROGRAM in contents:
        boots.append(iso9660.Boot(isolinux.PROGRAM, iso9660.BIOS, isolinux.SECTORS))
        program = store.bytes(contents[isolinux.PROGRAM])
        block = iso9660.plan(_tree(contents), keep, [*boots, *_efi_boot(contents)]).block(isolinux.PROGRAM)
        contents = {**contents, isolinux.PROGRAM: store.content(isolinux.install(program, block))}
    plan = iso9660.plan(_tree(contents), keep, [*boots, *_efi_boot(contents)])
    out = store.rope()
    iso9660.write(
        plan, out, label or boot_partition.LABEL, _record(plan, contents, hybrid_code) if hybrid_code else b""
    )
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
    """Returns a boot record with the whole disc, active, and its EFI system partition."""
    whole = plan.end * BLOCK
    volume = mbr.MbrPartition(
        plan.block(EFI_IMAGE) * BLOCK // disk.SECTOR,
        length(contents[EFI_IMAGE]) // disk.SECTOR,
        EFI_SYSTEM,
    )
    disc = mbr.MbrPartition(0, (whole + -whole % disk.MIB) // disk.SECTOR, HIDDEN, active=True)
    identity = disk.identity("disc", *contents.values()).time_low
    return mbr.record([disc, volume], identity, isolinux.hybrid_code(code, plan.block(isolinux.PROGRAM)))
