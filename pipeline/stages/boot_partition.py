"""Bootable FAT volumes: Syslinux for BIOS, an EFI program for UEFI."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.container.cmdline import SYSLINUX
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, complete, cut, files
from pipeline.store import Store
from pipeline.writers import FormatError, disk, fat, mbr, pe, syslinux

VERSION = f"fat-{fat.VERSION} syslinux-{syslinux.VERSION}"
LABEL = "NODE"
"""Default label of the volume."""
PROGRAM = "usr/bin/syslinux"
PROGRAM_HEAD = 4096
"""Size of the part of an EFI program that has its headers, in bytes."""


class Volume(NamedTuple):
    content: Content
    sectors: int
    bits: int
    """Bits of an entry of the file allocation table: 12, 16 or 32."""


def required_file(store: Store, tree: Digest, path: str) -> Content:
    """Returns the content of the file `path`. FormatError if the node has none."""
    file = store.tree(tree).get_file(path)
    if file is None:
        raise FormatError(f"this format needs {path}, and the node has none (is there a kernel in the spec?)")
    return file.content


def first(store: Store, tree: Digest, *paths: str) -> Content:
    """Returns the content of the first of `paths` that is in the tree. FormatError if none is."""
    return required_file(store, tree, next((path for path in paths if path in store.tree(tree)), paths[0]))


def efi_files(store: Store, uki: Digest) -> dict[str, Content]:
    """Returns the EFI program under its default name on removable media (UEFI 2.10, 3.5.1.1)."""
    program = required_file(store, uki, ".efi")
    machine = pe.MACHINES[pe.machine(store.bytes(cut(program, 0, PROGRAM_HEAD)))]
    return {f"EFI/BOOT/BOOT{machine}.EFI": program}


def linux_files(store: Store, kernel: Digest, initrd: Digest) -> dict[str, Content]:
    """Returns the files for Syslinux: kernel, initrd, and a configuration with their names and the command line."""
    return {
        "initrd.img": required_file(store, initrd, "initrd.img"),
        "kernel": required_file(store, kernel, "kernel"),
        "syslinux.cfg": store.content(
            syslinux.config(SYSLINUX.check(store.bytes(required_file(store, kernel, "cmdline")).decode()))
        ),
    }


def efi(
    store: Store, contents: dict[str, Content], size: int | None, label: str | None = None, hidden: int = mbr.FIRST
) -> Volume:
    """Returns a volume with `contents`. size: in bytes; None for the fewest MiB. hidden: sectors before it."""
    label = label or LABEL
    plan = fat.plan(complete(files(contents.items())), size)
    serial = disk.identity("volume", *contents.values()).time_low
    out = store.rope()
    fat.write(plan, out, label, fat.boot_sector(plan, label, serial, hidden))
    return Volume(out.finish(), plan.geometry.sectors, plan.geometry.bits)


def bios(
    store: Store, contents: dict[str, Content], image: Digest, size: int | None, label: str | None = None
) -> Volume:
    """Returns a volume with the files `contents` and Syslinux, from its package's tree `image`."""
    label = label or LABEL
    loader = syslinux.loader(store.bytes(required_file(store, image, PROGRAM)))
    contents = {**contents, "ldlinux.c32": store.content(loader.module), "ldlinux.sys": (Slice(None, 0, loader.size),)}
    plan = fat.plan(complete(files(contents.items())), size)
    serial = disk.identity("volume", *contents.values()).time_low
    plain = fat.boot_sector(plan, label, serial, mbr.FIRST)
    sector, system = syslinux.install(loader, plain, plan.sector("ldlinux.sys"))
    contents["ldlinux.sys"] = store.content(system)
    out = store.rope()
    fat.write(plan._replace(tree=complete(files(contents.items()))), out, label, sector)
    return Volume(out.finish(), plan.geometry.sectors, plan.geometry.bits)
