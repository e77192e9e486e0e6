"""Expected values of a TPM's registers (PCRs) after firmware and systemd's stub have started an EFI program.

Source: TCG PC Client Platform Firmware Profile 1.05, 3.3.4 (PCR 4 and 7; events are UEFI_VARIABLE_DATA); systemd,
src/boot/efi/stub.c and measure.c, and UAPI Group, Linux TPM PCR Registry (PCR 11). SHA-256 banks alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping
from uuid import UUID

from pipeline.ondisk import Structure, efivars, pe

BOOT_ACTION = b"Calling EFI Application from Boot Option"
SEPARATOR = bytes(4)
SECTIONS = {
    252: (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"),
    257: (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"),
}
"""Major version of the stub -> the sections that it measures, in its order. Other versions measure others."""
VARIABLE_DATA = Structure("<", VariableName="16s", UnicodeNameLength="Q", VariableDataLength="Q")
"""UEFI_VARIABLE_DATA, before name (UTF-16 without NUL) and data; VariableName is the vendor's GUID."""
STUB = re.compile(rb"#### LoaderInfo: systemd-stub ([0-9]+)[^#]* ####")
"""The version in a stub's section .sdmagic."""


def sections(head: bytes) -> dict[str, tuple[int, int]]:
    """Returns the sections of a program, from its headers: name -> offset in the file, and size in memory."""
    start = pe.DOS.unpack(head).lfanew + len(pe.MAGIC)
    coff = pe.COFF.unpack(head, start)
    table = start + pe.COFF.size + coff.SizeOfOptionalHeader
    rows = [pe.SECTION.unpack(head, table + number * pe.SECTION.size) for number in range(coff.NumberOfSections)]
    return {row.Name.rstrip(b"\0").decode("latin-1"): (row.PointerToRawData, row.VirtualSize) for row in rows}


def stub_version(magic: bytes) -> int:
    """Returns the major version of the stub whose section .sdmagic is `magic`; 0 if it has none."""
    found = STUB.search(magic)
    return int(found[1]) if found else 0


def pcr4(image: bytes) -> bytes:
    """Returns PCR 4 after a boot option started the program with the Authenticode hash `image`, and nothing before."""
    return _extended(*pcr4_events(image))


def pcr4_events(image: bytes) -> list[bytes]:
    """Returns the digests that PCR 4 is extended by then, in order."""
    return [hashlib.sha256(BOOT_ACTION).digest(), hashlib.sha256(SEPARATOR).digest(), image]


def pcr7(contents: Mapping[str, bytes], entry: bytes) -> bytes:
    """Returns PCR 7 after firmware with Secure Boot started a program for the sake of an entry of db, and nothing else.

    contents: name of a variable (PK, KEK, db, dbx) -> its content; one that is not there is measured as empty. entry:
    EFI_SIGNATURE_DATA.
    """
    variables = [_variable(name, vendor, contents.get(name, b"")) for name, vendor in efivars.VENDORS.items()]
    switch = _variable("SecureBoot", efivars.GLOBAL, b"\1")
    authority = _variable("db", efivars.DATABASE, entry)
    return _extended(switch, *variables, hashlib.sha256(SEPARATOR).digest(), authority)


def _variable(name: str, vendor: UUID, data: bytes) -> bytes:
    """Returns the digest of a variable's event."""
    fields = VARIABLE_DATA.pack(
        VariableName=vendor.bytes_le, UnicodeNameLength=len(name), VariableDataLength=len(data)
    )  # fmt: skip
    return hashlib.sha256(fields + name.encode("utf-16-le") + data).digest()


def pcr11(version: int, digests: Mapping[str, bytes]) -> bytes | None:
    """Returns PCR 11 after the stub of `version` measured its program; None if its order is not listed.

    digests: name of a section -> SHA-256 of its content in memory.
    """
    events = [each for name in measured(version, digests) for each in (name_digest(name), digests[name])]
    return _extended(*events) if version in SECTIONS else None


def measured(version: int, names: Container[str]) -> list[str]:
    """Returns those sections of a program that the stub of `version` measures, in its order."""
    return [name for name in SECTIONS.get(version, ()) if name in names]


def name_digest(section: str) -> bytes:
    """Returns the digest that PCR 11 is extended by before that of the section's content."""
    return hashlib.sha256(section.encode() + b"\0").digest()


def _extended(*digests: bytes) -> bytes:
    register = bytes(32)
    for digest in digests:
        register = hashlib.sha256(register + digest).digest()
    return register
