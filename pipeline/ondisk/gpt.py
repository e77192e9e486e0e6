"""GUID partition tables. Source: UEFI 2.10, 5.3."""

from pipeline.ondisk import Structure

SIGNATURE = b"EFI PART"
HEADER = Structure(
    "<",
    Signature=("8s", SIGNATURE), Revision=("I", 0x00010000), HeaderSize=("I", 92), HeaderCRC32="I", Reserved="I",
    MyLBA="Q", AlternateLBA="Q", FirstUsableLBA="Q", LastUsableLBA="Q", DiskGUID="16s", PartitionEntryLBA="Q",
    NumberOfPartitionEntries="I", SizeOfPartitionEntry="I", PartitionEntryArrayCRC32="I",
)  # fmt: skip
ENTRY = Structure(
    "<",
    PartitionTypeGUID="16s", UniquePartitionGUID="16s", StartingLBA="Q", EndingLBA="Q", Attributes="Q",
    PartitionName="72s",
)  # fmt: skip
