"""Syslinux, the boot loader for BIOS machines, installed into a FAT volume before it is written.

Its installer puts `ldlinux.sys` into the volume, writes the sectors of that file into the file itself and into the boot
sector, and copies its code around the volume's own fields in the boot sector. The code comes from the `syslinux`
program, which contains it.

Source: syslinux 6, doc/distrib.txt and libinstaller (the layout of the patch areas); a test compares with `syslinux
--install`.
"""

from __future__ import annotations

import re
from struct import pack, pack_into, unpack_from
from typing import NamedTuple

from pipeline.writers import FormatError

VERSION = 2
SECTOR = 512
HEAD = 11
CODE = 90
"""A boot sector is code before HEAD and from CODE on. Between them it describes the volume."""
MAGIC = pack("<I", 0x3EB202FE)
"""Starts the patch area, in ldlinux.sys's first sector."""
EXTENT = 10
"""Bytes of one sector extent: first sector, count."""
TRANSFER = 127
"""Sectors in one extent: a transfer is shorter than 64 KiB."""
ADV = pack("<II", 0x5A2D2FA5, 0xA3041767) + bytes(SECTOR - 12) + pack("<I", 0xDD28BF64)
"""An empty auxiliary data vector (head, checksum, tail); two copies follow ldlinux.sys."""


class Loader(NamedTuple):
    """The parts of the `syslinux` program: its boot sector, ldlinux.sys without ADVs, and ldlinux.c32."""

    boot: bytes
    system: bytes
    module: bytes

    @property
    def size(self) -> int:
        """Bytes of the installed file ldlinux.sys."""
        return len(self.system) + 2 * len(ADV)


def loader(unsafe_program: bytes) -> Loader:
    """Takes the loader out of the bytes of Linux's `syslinux` command (version 6); FormatError if it is not in
    there."""
    boot = unsafe_program.find(b"\xeb\x58\x90SYSLINUX")
    system = unsafe_program.find(b"\r\nSYSLINUX")
    # The program has a table of its three parts: time stamp, 512, time stamp, size, time stamp, size.
    tables = re.finditer(rb"(....)\x00\x02\0\0\1(...\0)\1(...\0)", unsafe_program, re.DOTALL)
    for system_size, module_size in ([int.from_bytes(table[group], "little") for group in (2, 3)] for table in tables):
        module = unsafe_program.find(b"\x7fELF", system + system_size, system + system_size + SECTOR)
        found = Loader(
            unsafe_program[boot : boot + SECTOR],
            unsafe_program[system : system + system_size],
            unsafe_program[module : module + module_size],
        )
        whole = len(found.system) == system_size > 0 == system_size % SECTOR and len(found.module) == module_size
        if min(boot, system, module) >= 0 and whole and MAGIC in found.system[:SECTOR]:
            return found
    raise FormatError("not a syslinux 6 program: it contains no boot sector, ldlinux.sys and ldlinux.c32")


def install(loader: Loader, boot: bytes, first: int) -> tuple[bytes, bytes]:
    """The boot sector with the loader's code, and the file ldlinux.sys that lies in one piece from sector `first` on.

    `boot` is the volume's own boot sector. Sectors count from the start of the volume.
    """
    count = len(loader.system) // SECTOR
    system = bytearray(loader.system)
    area = system.index(MAGIC)
    (extended,) = unpack_from("<H", system, area + 22)
    advs, _, _, _, _, extents, room, low, high = unpack_from("<9H", system, extended)

    sector = bytearray(loader.boot[:HEAD] + boot[HEAD:CODE] + loader.boot[CODE:510] + boot[510:])
    pack_into("<I", sector, low, first & 0xFFFFFFFF)
    pack_into("<I", sector, high, first >> 32)

    sectors = _extents(first + 1, count - 1)
    if len(sectors) > room * EXTENT:
        raise FormatError(f"a ldlinux.sys of {count} sectors; it has room for {room * TRANSFER}: take syslinux 6")
    system[extents : extents + room * EXTENT] = sectors.ljust(room * EXTENT, b"\0")
    pack_into("<QQ", system, advs, first + count, first + count + 1)
    pack_into("<HHII", system, area + 8, count, 2, len(system) // 4, 0)
    pack_into("<I", system, area + 16, int.from_bytes(MAGIC, "little") - _sum(system) & 0xFFFFFFFF)
    return bytes(sector), bytes(system) + ADV + ADV


def _extents(first: int, count: int) -> bytes:
    """The sector map of `count` sectors in one piece."""
    starts = range(0, count, TRANSFER)
    return b"".join(pack("<QH", first + start, min(TRANSFER, count - start)) for start in starts)


def _sum(data: bytes | bytearray) -> int:
    """The sum of the little-endian 32-bit words of `data`."""
    return sum(unpack_from(f"<{len(data) // 4}I", data))


def config(cmdline: str) -> bytes:
    """The configuration file: boot /kernel with /initrd.img at once, without a menu, whatever keys are held down
    (NOESCAPE). Raises StageProblem for a command line that Syslinux does not pass on as it stands."""
    words = " ".join(cmdline.split("\n")).strip()
    head = "DEFAULT linux\nPROMPT 0\nNOESCAPE 1\n"
    return f"{head}LABEL linux\nKERNEL /kernel\nINITRD /initrd.img\nAPPEND {words}\n".encode()
