"""UEFI variables as EDK II keeps them in flash, and lists of signatures in them.

Source: UEFI 2.10, 32.4.1 (EFI_SIGNATURE_LIST) and 8.2 (variables, and signed changes of them); UEFI PI 1.8, volume 3,
3.2.1 (firmware volumes); EDK II, MdeModulePkg/Include/Guid/VariableFormat.h.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from pipeline.ondisk import Structure

VOLUME_MAGIC = b"_FVH"
VOLUME = Structure(
    "<",
    ZeroVector="16s", FileSystemGuid="16s", FvLength="Q", Signature=("4s", VOLUME_MAGIC), Attributes="I",
    HeaderLength="H", Checksum="H", ExtHeaderOffset="H", Reserved="B", Revision="B",
)  # fmt: skip
"""EFI_FIRMWARE_VOLUME_HEADER, at the start of the flash; a map of blocks belongs to it."""
BLOCK_MAP = Structure("<", NumBlocks="I", Length="I")
"""EFI_FV_BLOCK_MAP_ENTRY; one of zeros ends the map."""
VOLUME_REVISION = 2
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
UPDATE = Structure(
    "<",
    TimeStamp="16s", dwLength="I", wRevision=("H", 0x0200), wCertificateType=("H", 0x0EF1), CertType="16s",
)  # fmt: skip
"""EFI_VARIABLE_AUTHENTICATION_2, before a SignedData and the variable's content; dwLength counts the fields from itself
on, and the SignedData."""
SIGNATURE_LIST = Structure("<", SignatureType="16s", SignatureListSize="I", SignatureHeaderSize="I", SignatureSize="I")
"""EFI_SIGNATURE_LIST, before signatures: each an owner's GUID and data."""

AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
"""gEfiAuthenticatedVariableGuid: the type of a store whose variables have VARIABLE's header."""
VARIABLES_VOLUME = UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
"""gEfiSystemNvDataFvGuid: the type of a volume with variables."""
GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
DATABASE = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SECURE_BOOT_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
PKCS7 = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
VENDORS = {"PK": GLOBAL, "KEK": GLOBAL, "db": DATABASE, "dbx": DATABASE}
"""Variables of Secure Boot with lists of signatures (UEFI 2.10, 32.3) -> their vendors."""
NON_VOLATILE, BOOT_SERVICE, RUNTIME, TIME_BASED = 0x1, 0x2, 0x4, 0x20
"""Attributes (UEFI 2.10, 8.2)."""
LARGEST_CONTENT = 1 << 17
"""Maximum size of a variable's content, in bytes; a dbx of 2024 has 24 KiB."""


class Signature(NamedTuple):
    """A signature in a list. kind: type of the list. data: EFI_SIGNATURE_DATA, the owner's GUID before the rest."""

    kind: UUID
    data: bytes

    @property
    def value(self) -> bytes:
        """The certificate, or the digest, without the owner."""
        return self.data[16:]


def signatures(unsafe_content: bytes) -> list[Signature]:
    """Returns the signatures in a variable's content, which is lists of them one after another. ValueError."""
    found, at = [], 0
    if len(unsafe_content) > LARGEST_CONTENT:
        raise ValueError(f"larger than {LARGEST_CONTENT} bytes")
    while at < len(unsafe_content):
        if len(unsafe_content) - at < SIGNATURE_LIST.size:
            raise ValueError("it ends within a list of signatures")
        header = SIGNATURE_LIST.unpack(unsafe_content, at)
        start, end = at + SIGNATURE_LIST.size + header.SignatureHeaderSize, at + header.SignatureListSize
        if header.SignatureSize <= 16 or not start < end <= len(unsafe_content) or (end - start) % header.SignatureSize:
            raise ValueError(f"a list of {header.SignatureListSize} bytes with signatures of {header.SignatureSize}")
        kind = UUID(bytes_le=header.SignatureType)
        places = range(start, end, header.SignatureSize)
        found += [Signature(kind, unsafe_content[place : place + header.SignatureSize]) for place in places]
        at = end
    return found
