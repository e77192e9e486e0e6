"""ISO 9660, with Rock Ridge, Joliet and El Torito: descriptors, directory records, system use fields, boot catalogs.

Source: ECMA-119 (4th edition; section numbers are its); SUSP and RRIP 1.12; "El Torito" 1.0. A number in both byte
orders (7.3.3) is a field of 8 or 4 bytes: see `both`.
"""

from struct import Struct, pack

from pipeline.ondisk import Structure

BLOCK = 2048
FIRST_DESCRIPTOR = 16
STANDARD = b"CD001"
BOOT_RECORD, PRIMARY, SUPPLEMENTARY, TERMINATOR = 0, 1, 2, 255
"""Types of a descriptor (8.1)."""
VOLUME = Structure(
    "<",
    type="B", standard=("5s", STANDARD), version=("B", 1), flags="B", system="32s", volume="32s", unused="8s",
    space_size="8s", escape_sequences="32s", set_size="4s", sequence_number="4s", block_size="4s",
    path_table_size="8s", l_path_table="I", l_path_table_2="I", m_path_table="4s", m_path_table_2="4s", root="34s",
    volume_set="128s", publisher="128s", preparer="128s", application="128s", copyright="37s", abstract="37s",
    bibliography="37s", created="17s", modified="17s", expires="17s", effective="17s", structure_version=("B", 1),
    reserved="1166s",
)  # fmt: skip
"""The primary and the supplementary volume descriptor (8.4, 8.5)."""
EL_TORITO = b"EL TORITO SPECIFICATION"
BOOT_DESCRIPTOR = Structure(
    "<",
    type="B", standard=("5s", STANDARD), version=("B", 1), system=("32s", EL_TORITO), unused="32s", catalog="I",
    reserved="1973s",
)  # fmt: skip
RECORD = Structure(
    "<",
    length="B", attribute_length="B", location="8s", data_length="8s", recorded="7s", flags="B", unit_size="B",
    gap_size="B", volume_number="4s", name_length="B",
)  # fmt: skip
"""A directory record up to its name (9.1)."""
IS_DIRECTORY, MORE_EXTENTS = 0x02, 0x80
"""Flags of a record (9.1.6)."""
PATH_RECORD, PATH_RECORD_BIG = (
    Structure(order, name_length="B", attribute_length="B", location="I", parent="H") for order in "<>"
)
"""A record of the path tables up to its name (9.4)."""
SYSTEM_USE = Structure("<", signature="2s", length="B", version=("B", 1))
"""The head of every system use field (SUSP)."""
SHARING = b"\xbe\xef"
CONTINUATION, POSIX, DEVICE = (
    Structure("<", block="8s", offset="8s", size="8s"),
    Structure("<", mode="8s", links="8s", uid="8s", gid="8s"),
    Structure("<", high="8s", low="8s"),
)
"""The data of the fields CE, PX and PN."""
VALIDATION = Structure(
    "<", header=("B", 1), platform="B", reserved="H", id="24s", checksum="H", key=("2s", b"\x55\xaa")
)
BOOTABLE, SECTION, LAST_SECTION = 0x88, 0x90, 0x91
BOOT_SECTION = Structure("<", indicator="B", platform="B", count=("H", 1), id="28s")
BOOT_ENTRY = Structure(
    "<",
    indicator=("B", BOOTABLE), media="B", load_segment="H", system="B", unused="B", sectors="H", start="I",
    selection="20s",
)  # fmt: skip
LITTLE, BIG = Struct("<I").pack, Struct(">I").pack


def both(number: int) -> bytes:
    """A 32-bit number in both byte orders, the little-endian one first."""
    return LITTLE(number) + BIG(number)


def both_16(number: int) -> bytes:
    """A 16-bit one."""
    return pack("<H", number) + pack(">H", number)


def number(data: bytes) -> int:
    """The 32-bit number that `data` has in both byte orders."""
    return int.from_bytes(data[:4], "little")
