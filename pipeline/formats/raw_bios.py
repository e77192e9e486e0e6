"""raw-bios: a disk that a BIOS boots: a boot record, and one FAT partition with Syslinux, the kernel and the initrd."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pipeline.digest import Digest
from pipeline.store import Store
from pipeline.tree import Content, Entry, File, Slice, files
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
    boot = {path: _content(store.tree(kernel), path, "the kernel") for path in ("kernel", "cmdline")}
    tools = store.tree(syslinux_image)
    loader = syslinux.loader(store.bytes(_content(tools, PROGRAM, "the syslinux image")))
    code = store.bytes(_content(tools, next((path for path in BOOT_CODE if path in tools), BOOT_CODE[0]), "syslinux"))
    contents = {
        "initrd.img": _content(store.tree(initrd), "initrd.img", "the node"),
        "kernel": boot["kernel"],
        "ldlinux.c32": store.content(loader.module),
        "ldlinux.sys": (Slice(None, 0, loader.size),),
        "syslinux.cfg": store.content(_config(store.bytes(boot["cmdline"]).decode())),
    }
    identity = int.from_bytes(hashlib.sha256(repr(contents).encode()).digest()[:4], "little")

    wanted = disk.size(size)
    plan = fat.plan(files(contents.items()), wanted and wanted - mbr.FIRST * disk.SECTOR)
    sector, system = syslinux.install(
        loader, fat.boot_sector(plan, LABEL, identity, mbr.FIRST), plan.sector("ldlinux.sys")
    )
    contents["ldlinux.sys"] = store.content(system)

    partition = mbr.Partition(mbr.FIRST, plan.geometry.sectors, mbr.FAT[plan.geometry.bits], active=True)
    out = store.rope()
    out.write(mbr.record([partition], identity, code))
    out.zeros((mbr.FIRST - 1) * disk.SECTOR)
    fat.write(plan._replace(tree=files(contents.items())), out, LABEL, sector)
    return store.put_tree(files([("-bios.img", out.finish())]))


def _config(cmdline: str) -> bytes:
    """syslinux.cfg: boot at once, without a menu."""
    words = " ".join(cmdline.split("\n")).strip()
    if len(words) > LONGEST_CMDLINE:
        raise Unwritable(f"kernel.cmdline has {len(words)} characters; the kernel takes {LONGEST_CMDLINE}")
    return f"DEFAULT linux\nPROMPT 0\nLABEL linux\nKERNEL /kernel\nINITRD /initrd.img\nAPPEND {words}\n".encode()


def _content(tree: Mapping[str, Entry], path: str, owner: str) -> Content:
    entry = tree.get(path)
    if type(entry) is not File:
        raise Unwritable(f"raw-bios needs {path}, and {owner} has none")
    return entry.content
