"""raw-bios: a disk that a BIOS boots: a boot record, and one FAT partition with Syslinux, the kernel and the initrd."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.formats import part
from pipeline.store import Store
from pipeline.tree import Slice, files
from pipeline.writers import Unwritable, disk, fat, mbr, syslinux

NAME = "raw-bios"
VERSION = f"1 fat-{fat.VERSION} mbr-{mbr.VERSION} syslinux-{syslinux.VERSION}"
NEEDS = ("kernel", "initrd", "syslinux")
OPTIONS = ("size",)
SUFFIXES = ("-bios.img",)
LABEL = "NODE"
PROGRAM = "usr/bin/syslinux"
BOOT_CODE = ("usr/lib/SYSLINUX/mbr.bin", "usr/lib/syslinux/mbr/mbr.bin", "usr/share/syslinux/mbr.bin")
"""Where distributions keep Syslinux's boot code."""
LONGEST_CMDLINE = 2047
"""Of the kernel on x86 (COMMAND_LINE_SIZE, with a NUL)."""


def build(store: Store, kernel: Digest, initrd: Digest, syslinux_image: Digest, size: str | None = None) -> Digest:
    """Tree {"-bios.img"}: the smallest disk of whole MiB, or one of `size` (`1024M`, `2G`).

    Unwritable where there is no kernel, the image has no Syslinux, or `size` is too small.
    """
    loader = syslinux.loader(store.bytes(part(store, syslinux_image, PROGRAM)))
    code = next((path for path in BOOT_CODE if path in store.tree(syslinux_image)), BOOT_CODE[0])
    contents = {
        "initrd.img": part(store, initrd, "initrd.img"),
        "kernel": part(store, kernel, "kernel"),
        "ldlinux.c32": store.content(loader.module),
        "ldlinux.sys": (Slice(None, 0, loader.size),),
        "syslinux.cfg": store.content(_config(store.bytes(part(store, kernel, "cmdline")).decode())),
    }
    serial = disk.identity(NAME, *contents.values()).time_low

    wanted = disk.size(size)
    plan = fat.plan(files(contents.items()), wanted and wanted - mbr.FIRST * disk.SECTOR)
    plain = fat.boot_sector(plan, LABEL, serial, mbr.FIRST)
    sector, system = syslinux.install(loader, plain, plan.sector("ldlinux.sys"))
    contents["ldlinux.sys"] = store.content(system)

    partition = mbr.Partition(mbr.FIRST, plan.geometry.sectors, mbr.FAT[plan.geometry.bits], active=True)
    out = store.rope()
    out.write(mbr.record([partition], serial, store.bytes(part(store, syslinux_image, code))))
    out.zeros((mbr.FIRST - 1) * disk.SECTOR)
    fat.write(plan._replace(tree=files(contents.items())), out, LABEL, sector)
    return store.put_tree(files([("-bios.img", out.finish())]))


def _config(cmdline: str) -> bytes:
    """syslinux.cfg: boot at once, without a menu."""
    words = " ".join(cmdline.split("\n")).strip()
    if len(words) > LONGEST_CMDLINE:
        raise Unwritable(f"kernel.cmdline has {len(words)} characters; the kernel takes {LONGEST_CMDLINE}")
    return f"DEFAULT linux\nPROMPT 0\nLABEL linux\nKERNEL /kernel\nINITRD /initrd.img\nAPPEND {words}\n".encode()
