"""EFI programs: headers, sections, data directories. Source: Microsoft, PE Format."""

from pipeline.ondisk import Structure

DOS_MAGIC, MAGIC = b"MZ", b"PE\0\0"
DOS = Structure("<", magic=("2s", DOS_MAGIC), stub="58s", lfanew="I")
COFF = Structure(
    "<",
    Machine="H", NumberOfSections="H", TimeDateStamp="I", PointerToSymbolTable="I", NumberOfSymbols="I",
    SizeOfOptionalHeader="H", Characteristics="H",
)  # fmt: skip
"""Follows MAGIC, which is at `lfanew`."""
OPTIONAL = Structure(
    "<",
    Magic="H", MajorLinkerVersion="B", MinorLinkerVersion="B", SizeOfCode="I", SizeOfInitializedData="I",
    SizeOfUninitializedData="I", AddressOfEntryPoint="I", BaseOfCode="I", bases="8s", SectionAlignment="I",
    FileAlignment="I", MajorOperatingSystemVersion="H", MinorOperatingSystemVersion="H", MajorImageVersion="H",
    MinorImageVersion="H", MajorSubsystemVersion="H", MinorSubsystemVersion="H", Win32VersionValue="I",
    SizeOfImage="I", SizeOfHeaders="I", CheckSum="I",
)  # fmt: skip
"""The start of the optional header, which PE32 and PE32+ have in common but for the `bases` of data and image."""
DIRECTORIES = {0x20B: 112, 0x10B: 96}
"""Offset of the data directories in the optional header, by its magic (PE32+, PE32); their number is in front."""
DATA_DIRECTORY = Structure("<", VirtualAddress="I", Size="I")
CERTIFICATES = 4
"""Number of the data directory of signatures; unlike the others it counts from the start of the file."""
SECTION = Structure(
    "<",
    Name="8s", VirtualSize="I", VirtualAddress="I", SizeOfRawData="I", PointerToRawData="I", PointerToRelocations="I",
    PointerToLinenumbers="I", NumberOfRelocations="H", NumberOfLinenumbers="H", Characteristics="I",
)  # fmt: skip
