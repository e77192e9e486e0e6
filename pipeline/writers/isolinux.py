"""ISOLINUX, Syslinux's loader for CDs: the paths of its parts, and its table of addresses.

Source: syslinux 6, doc/isolinux.txt; the boot information table is described there and in mkisofs(8).
"""

from __future__ import annotations

from struct import pack, unpack_from

from pipeline.writers import FormatError

VERSION = 1
PROGRAM, MODULE, CONFIG = "isolinux/isolinux.bin", "isolinux/ldlinux.c32", "isolinux/isolinux.cfg"
PROGRAM_SOURCE = "usr/lib/ISOLINUX/isolinux.bin"
MODULE_SOURCE = "usr/lib/syslinux/modules/bios/ldlinux.c32"
HYBRID_SOURCE = "usr/lib/ISOLINUX/isohdpfx.bin"
"""Paths in Debian's packages isolinux and syslinux-common, which must have the same version."""
SECTORS = 4
"""Number of 512-byte sectors of the program that a BIOS loads; the program loads the rest."""
TABLE = 8
SUMMED = 64
"""Bounds of the table; its checksum covers the bytes after it."""
DESCRIPTOR = 16
"""The block of the primary volume descriptor."""
HYBRID_CODE = 432
"""Bytes of boot record code in front of the address of the program."""


def install(program: bytes, block: int) -> bytes:
    """`isolinux.bin` as it lies on the disc from `block` (of 2048 bytes) on."""
    if len(program) <= SUMMED:
        raise FormatError("isolinux.bin is too short: take Debian's")
    rest = program[SUMMED:] + bytes(-len(program) % 4)
    checksum = sum(unpack_from(f"<{len(rest) // 4}I", rest)) & 0xFFFFFFFF
    table = pack("<IIII", DESCRIPTOR, block, len(program), checksum)
    return program[:TABLE] + table.ljust(SUMMED - TABLE, b"\0") + program[SUMMED:]


def hybrid_code(code: bytes, block: int) -> bytes:
    """The 440 bytes that start the program from a disk: isohdpfx.bin, and where the program is, in sectors."""
    if len(code) > HYBRID_CODE:
        raise FormatError(f"isohdpfx.bin has {len(code)} bytes, and a boot record has room for {HYBRID_CODE}")
    return code.ljust(HYBRID_CODE, b"\0") + pack("<Q", block * 4)
