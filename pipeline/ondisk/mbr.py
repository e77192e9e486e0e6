"""The master boot record: boot code, a disk id, four partitions. Source: UEFI 2.10, 5.2.1."""

from pipeline.ondisk import Structure

SECTOR = 512
SIGNATURE = b"\x55\xaa"
"""End of every boot sector."""
PROTECTIVE, EFI_SYSTEM, LINUX, LINUX_SWAP = 0xEE, 0xEF, 0x83, 0x82
FAT = {16: 0x0E, 32: 0x0C}
"""Partition types (OSType); those of FAT by the width of its table, addressed by sector (LBA)."""
ACTIVE = 0x80
RECORD = Structure(
    "<",
    BootCode="440s", UniqueMBRDiskSignature="I", Unknown="H", PartitionRecord="64s", Signature=("2s", SIGNATURE),
)  # fmt: skip
PARTITION = Structure(
    "<", BootIndicator="B", StartingCHS="3s", OSType="B", EndingCHS="3s", StartingLBA="I", SizeInLBA="I"
)
