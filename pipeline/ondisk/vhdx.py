"""VHDX disk images: headers, regions, metadata. Source: [MS-VHDX], whose sections the comments name."""

from uuid import UUID

from pipeline.ondisk import Structure

KIB, MIB = 1 << 10, 1 << 20
SIGNATURE, HEADER_SIGNATURE, REGION_SIGNATURE, METADATA_SIGNATURE = b"vhdxfile", b"head", b"regi", b"metadata"
IDENTIFIER = Structure("<", Signature=("8s", SIGNATURE), Creator="512s")
HEADERS, REGION_TABLES = (64 * KIB, 128 * KIB), (192 * KIB, 256 * KIB)
"""Offsets (2.2)."""
HEADER_SIZE, REGION_TABLE_SIZE = 4 * KIB, 64 * KIB
HEADER = Structure(
    "<",
    Signature=("4s", HEADER_SIGNATURE), Checksum="I", SequenceNumber="Q", FileWriteGuid="16s", DataWriteGuid="16s",
    LogGuid="16s", LogVersion="H", Version=("H", 1), LogLength="I", LogOffset="Q",
)  # fmt: skip
REGION_TABLE = Structure("<", Signature=("4s", REGION_SIGNATURE), Checksum="I", EntryCount="I", Reserved="I")
REGION = Structure("<", Guid="16s", FileOffset="Q", Length="I", Required=("I", 1))
METADATA_TABLE = Structure("<", Signature=("8s", METADATA_SIGNATURE), Reserved="H", EntryCount="H", Reserved2="20s")
METADATA = Structure("<", ItemId="16s", Offset="I", Length="I", Flags="I", Reserved2="I")
BAT_REGION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
VIRTUAL_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL_SECTOR_SIZE = UUID("cda348c7-445d-4471-9cc9-e9885251c556")
IS_VIRTUAL_DISK, IS_REQUIRED = 2, 4
"""Flags of a metadata item (2.6.1.2): it describes the disk, not the file; readers must know it."""
PARAMETERS = Structure("<", BlockSize="I", Flags="I")
HAS_PARENT = 2
FULLY_PRESENT, PARTIALLY_PRESENT, STATES = 6, 7, 7
"""States of a block (2.5.1.1), in the bits of its entry that STATES has."""


def bat_chunk(sector: int, block: int) -> int:
    """Blocks between two of the BAT's entries for sector bitmaps (2.5)."""
    return (1 << 23) * sector // block
