"""UEFI variables as EDK II keeps them in flash, and lists of signatures in them.

Source: UEFI 2.10, 32.4.1 (EFI_SIGNATURE_LIST) and 8.2; UEFI PI 1.8, volume 3, 3.2.1 (firmware volumes); EDK II,
MdeModulePkg/Include/Guid/VariableFormat.h.
"""

from __future__ import annotations

from uuid import UUID

from pipeline.ondisk import Structure

VOLUME_MAGIC = b"_FVH"
VOLUME = Structure(
    "<",
    ZeroVector="16s", FileSystemGuid="16s", FvLength="Q", Signature=("4s", VOLUME_MAGIC), Attributes="I",
    HeaderLength="H", Checksum="H", ExtHeaderOffset="H", Reserved="B", Revision="B",
)  # fmt: skip
"""EFI_FIRMWARE_VOLUME_HEADER, at the start of the flash."""
STORE = Structure("<", Signature="16s", Size="I", Format="B", State="B", Reserved="H", Reserved1="I")
"""VARIABLE_STORE_HEADER, behind the volume's header."""
FORMATTED, HEALTHY = 0x5A, 0xFE
VARIABLE_MAGIC, ADDED = 0x55AA, 0x3F
VARIABLE = Structure(
    "<",
    StartId=("H", VARIABLE_MAGIC), State=("B", ADDED), Reserved="B", Attributes="I", MonotonicCount="Q",
    TimeStamp="16s", PubKeyIndex="I", NameSize="I", DataSize="I", VendorGuid="16s",
)  # fmt: skip
"""AUTHENTICATED_VARIABLE_HEADER, before name (UTF-16, ends with NUL) and data."""
ALIGNMENT = 4
"""Alignment of a variable, in bytes."""
ERASED = 0xFF
TIME = Structure(
    "<",
    Year="H", Month="B", Day="B", Hour="B", Minute="B", Second="B", Pad1="B", Nanosecond="I", TimeZone="h",
    Daylight="B", Pad2="B",
)  # fmt: skip
SIGNATURE_LIST = Structure("<", SignatureType="16s", SignatureListSize="I", SignatureHeaderSize="I", SignatureSize="I")
"""EFI_SIGNATURE_LIST, before signatures: each an owner's GUID and data."""

AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
"""gEfiAuthenticatedVariableGuid: the type of a store whose variables have VARIABLE's header."""
GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
DATABASE = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SECURE_BOOT_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
NON_VOLATILE, BOOT_SERVICE, RUNTIME, TIME_BASED = 0x1, 0x2, 0x4, 0x20
"""Attributes (UEFI 2.10, 8.2)."""
