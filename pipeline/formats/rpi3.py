"""rpi3: an SD card that a Raspberry Pi 3 boots (arm64): one FAT partition with the Pi's firmware, U-Boot, the kernel,
its device trees and the initrd.

The GPU's own boot code looks for `bootcode.bin` and, as config.txt says, starts U-Boot; that reads extlinux.conf
(U-Boot, doc/develop/distro.rst) and gives the kernel the device tree of the board that it finds itself on.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from pipeline.container import cmdline as loaders
from pipeline.formats import Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, complete, cut, files, length
from pipeline.ondisk import arm64image
from pipeline.stages import boot_partition
from pipeline.stages import partitions as disks
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import FormatError, disk, mbr, tar

VERSION = f"1 {disks.VERSION} tar-{tar.VERSION}"
FIRMWARE = ("bootcode.bin", "fixup.dat", "start.elf")
"""Programs of the GPU, in the `raspi` image (from Debian's raspi-firmware)."""
FIRMWARE_FOLDER = "usr/lib/raspi-firmware/"
U_BOOT = "usr/lib/u-boot/rpi_3/u-boot.bin"
CONFIG = b"arm_64bit=1\nenable_uart=1\nkernel=u-boot.bin\n"
"""config.txt. enable_uart also fixes the clock that the serial console (ttyS1) depends on."""
TREES = "boot/dtb/"
"""Folder of the device trees in a kernel image's tar, as in LinuxKit's kernels for arm64."""
KERNEL_AT, INITRD_AT = b"kernel_addr_r", b"ramdisk_addr_r"
"""Variables in U-Boot's built-in environment: the addresses that it reads kernel and initrd to."""
BOARDS = "broadcom/bcm2837-"
"""Start of the device trees for a Pi 3 and its relatives: U-Boot reads broadcom/bcm2837-rpi-3-b.dtb, for example."""


def build(store: Store, kernel: Digest, initrd: Digest, rootfs: Digest, raspi: Digest, **options: Any) -> Digest:
    """Tree {"-rpi3.img": the card, "-rpi3.tar": the same files for a card that there is already}.

    FormatError: no kernel for the Pi, one that is too large for U-Boot, or an image without firmware. StageProblem:
    `size` is too small.
    """
    contents = boot_files(store, kernel, initrd, rootfs, raspi)
    wanted = disks.Disk(**options)
    volume = disks.booted(partial(boot_partition.efi, store, contents), wanted, disks.MBR_SPARE)
    archive = store.rope()
    tar.write(complete(files(contents.items())), archive)
    card = disks.write_mbr(store, volume, wanted, FORMAT.name, b"")
    return store.put_tree(files([("-rpi3.img", card), ("-rpi3.tar", archive.finish())]))


def boot_files(store: Store, kernel: Digest, initrd: Digest, rootfs: Digest, raspi: Digest) -> dict[str, Content]:
    """The files of the partition, by path."""
    cmdline = store.bytes(required_file(store, kernel, "cmdline")).decode()
    trees = {
        path.removeprefix(TREES): file.content
        for path, file in store.tree(rootfs).files().items()
        if path.startswith(TREES + BOARDS)
    }
    if not trees:
        wanted = f"{TREES}{BOARDS}*.dtb in its tar, such as @pkg:images/kernel-generic for arm64"
        raise FormatError(f"rpi3 needs a kernel with {wanted}")
    u_boot, image = required_file(store, raspi, U_BOOT), required_file(store, kernel, "kernel")
    _check_room(store.bytes(cut(image, 0, min(arm64image.HEADER.size, length(image)))), store.bytes(u_boot))
    return {
        **{name: required_file(store, raspi, FIRMWARE_FOLDER + name) for name in FIRMWARE},
        "config.txt": store.content(CONFIG),
        "u-boot.bin": u_boot,
        "extlinux/extlinux.conf": store.content(extlinux(cmdline).encode()),
        "kernel": image,
        "initrd.img": required_file(store, initrd, "initrd.img"),
        **trees,
    }


def _check_room(head: bytes, u_boot: bytes) -> None:
    """Raises FormatError if the kernel with the header `head` reaches into the place where U-Boot reads the initrd to.

    A kernel or a U-Boot that names no sizes or addresses passes. Source: U-Boot, arch/arm/lib/image.c (booti_setup).
    """
    start, end = (_address(u_boot, name) for name in (KERNEL_AT, INITRD_AT))
    if len(head) < arm64image.HEADER.size or (header := arm64image.HEADER.unpack(head)).magic != arm64image.MAGIC:
        return
    aligned = -(-start // arm64image.ALIGNMENT) * arm64image.ALIGNMENT
    room = end - aligned - header.text_offset
    if end and header.image_size > room:
        raise FormatError(
            f"rpi3: the kernel takes {header.image_size} bytes of memory, and U-Boot has room for {room} before the"
            " initrd: use a smaller kernel (that of Debian 12: build.release: bookworm)"
        )


def _address(u_boot: bytes, name: bytes) -> int:
    """Returns the address of a variable in U-Boot's built-in environment; 0 if it is not there."""
    found = re.search(rb"\0" + name + rb"=0x([0-9a-fA-F]+)\0", u_boot)
    return int(found[1], 16) if found else 0


def extlinux(cmdline: str) -> str:
    """extlinux.conf: what U-Boot starts. Raises StageProblem for a command line that U-Boot would not pass on."""
    append = " ".join(loaders.U_BOOT.check(cmdline).split())
    return f"default node\nlabel node\n  kernel /kernel\n  initrd /initrd.img\n  fdtdir /\n  append {append}\n"


FORMAT = Format(
    "rpi3", build, needs=("kernel", "initrd", "rootfs", Recipe("raspi")), options=("size", "label", "partitions"),
    produces=("-rpi3.img", "-rpi3.tar"), firmware=Firmware.BOARD, loaders=(loaders.U_BOOT,), largest_disk=disk.LARGEST,
    most_partitions=mbr.MOST,
)  # fmt: skip
