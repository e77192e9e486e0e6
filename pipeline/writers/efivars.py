"""Keys enrolled for Secure Boot: in a file of EDK II's variables (OVMF_VARS), for emulated machines, and as signed
changes of variables (.auth files), which any firmware takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import error
from uuid import UUID

from pipeline.ondisk import efivars as ondisk
from pipeline.ondisk import x509
from pipeline.writers import FormatError, pkcs7

OWNER = UUID("6e6f6465-6b69-6c6e-8000-000000000000")
"""Owner of the signatures: "nodekiln" in ASCII."""
PROTECTED = ondisk.NON_VOLATILE | ondisk.BOOT_SERVICE | ondisk.RUNTIME | ondisk.TIME_BASED
ENROLLED = ondisk.TIME.pack(Year=2020, Month=1, Day=1)
"""Time of the variables: a later change of them needs a later one."""

ARM_BLOCK, ARM_BLOCKS = 1 << 18, 3
"""Size of the flash's blocks on Arm, in bytes, and the number of those that variables use: the first has them, two are
for changes (EDK II, ArmVirtPkg/VarStore.fdf.inc)."""
ARM_ATTRIBUTES = 0x0E36
"""Attributes of their volume: it can be read and written, and erased bytes have all bits set."""


def enrol(flash: bytes, contents: Mapping[str, bytes]) -> bytes:
    """Returns the flash with Secure Boot on, and with these variables: name (PK, KEK, db, dbx) -> content.

    A flash of zeros, as Debian has it for Arm, is formatted first. FormatError for what is no file of variables, has no
    room, or has a platform key already.
    """
    if len(flash) >= ARM_BLOCK * ARM_BLOCKS and not flash.strip(b"\0"):
        flash = _formatted(len(flash))
    variables = [_variable(name, ondisk.VENDORS[name], data, PROTECTED) for name, data in sorted(contents.items())]
    switch = ondisk.NON_VOLATILE | ondisk.BOOT_SERVICE
    variables.append(_variable("SecureBootEnable", ondisk.SECURE_BOOT_ENABLE, b"\1", switch))
    try:
        at, end = _free(flash)
    except (error, ValueError) as problem:
        raise FormatError(f"not a file of UEFI's variables: {problem}") from None
    added = b"".join(variables)
    if at + len(added) > end:
        raise FormatError(f"{len(added)} bytes of variables; there is room for {end - at}")
    return flash[:at] + added + flash[at + len(added) :]


def certificate_list(certificate: bytes) -> bytes:
    """Returns the content of a variable with one certificate (DER)."""
    entry = OWNER.bytes_le + certificate
    header = ondisk.SIGNATURE_LIST.pack(
        SignatureType=ondisk.X509.bytes_le, SignatureListSize=ondisk.SIGNATURE_LIST.size + len(entry),
        SignatureSize=len(entry),
    )  # fmt: skip
    return header + entry


def to_sign(name: str, content: bytes) -> bytes:
    """Returns what the signature of `update` signs (UEFI 2.10, 8.2.2)."""
    attributes = PROTECTED.to_bytes(4, "little")
    return name.encode("utf-16-le") + ondisk.VENDORS[name].bytes_le + attributes + ENROLLED + content


def update(content: bytes, certificate: x509.Certificate, signature: bytes) -> bytes:
    """Returns the change that gives a variable `content`: EFI_VARIABLE_AUTHENTICATION_2 and the content.

    Its time is ENROLLED, so that it is the same each time. certificate: that of the signer.
    """
    data = pkcs7.signed_data(pkcs7.DATA, [certificate], signature)
    size = ondisk.UPDATE.size - ondisk.TIME.size + len(data)
    header = ondisk.UPDATE.pack(TimeStamp=ENROLLED, dwLength=size, CertType=ondisk.PKCS7.bytes_le)
    return header + data + content


def _formatted(size: int) -> bytes:
    """Returns a flash of `size` bytes for Arm, without variables."""
    blocks = ondisk.BLOCK_MAP.pack(NumBlocks=size // ARM_BLOCK, Length=ARM_BLOCK) + ondisk.BLOCK_MAP.pack()
    header = bytearray(
        ondisk.VOLUME.pack(
            FileSystemGuid=ondisk.VARIABLES_VOLUME.bytes_le, FvLength=ARM_BLOCK * ARM_BLOCKS,
            Attributes=ARM_ATTRIBUTES, HeaderLength=ondisk.VOLUME.size + len(blocks), Revision=ondisk.VOLUME_REVISION,
        )
        + blocks
    )  # fmt: skip
    total = sum(int.from_bytes(header[at : at + 2], "little") for at in range(0, len(header), 2))
    ondisk.VOLUME.patch(header, Checksum=-total & 0xFFFF)
    store = ondisk.STORE.pack(
        Signature=ondisk.AUTHENTICATED.bytes_le, Size=ARM_BLOCK - len(header), Format=ondisk.FORMATTED,
        State=ondisk.HEALTHY,
    )  # fmt: skip
    return (bytes(header) + store).ljust(ARM_BLOCK * ARM_BLOCKS, bytes([ondisk.ERASED])).ljust(size, b"\0")


def _free(flash: bytes) -> tuple[int, int]:
    """Returns where the unused part of the store of variables starts, and where it ends."""
    volume = ondisk.VOLUME.unpack(flash)
    if volume.Signature != ondisk.VOLUME_MAGIC:
        raise ValueError("it is no firmware volume")
    at = volume.HeaderLength
    store = ondisk.STORE.unpack(flash, at)
    expected = (ondisk.AUTHENTICATED.bytes_le, ondisk.FORMATTED, ondisk.HEALTHY)
    if (store.Signature, store.Format, store.State) != expected or at + store.Size > len(flash):
        raise ValueError("it has no store of authenticated variables")
    end, at = at + store.Size, at + ondisk.STORE.size
    while at + ondisk.VARIABLE.size <= end:
        variable = ondisk.VARIABLE.unpack(flash, at)
        if variable.StartId != ondisk.VARIABLE_MAGIC:
            break
        start = at + ondisk.VARIABLE.size
        if variable.State == ondisk.ADDED and flash[start : start + variable.NameSize] == _name("PK"):
            raise ValueError("it has a platform key already")
        at = start + variable.NameSize + variable.DataSize
        at += -at % ondisk.ALIGNMENT
    if flash[at:end].strip(bytes([ondisk.ERASED])):
        raise ValueError("what follows its variables is not erased")
    return at, end


def _variable(name: str, vendor: UUID, data: bytes, attributes: int) -> bytes:
    timed = {"TimeStamp": ENROLLED} if attributes & ondisk.TIME_BASED else {}
    header = ondisk.VARIABLE.pack(
        Attributes=attributes, NameSize=len(_name(name)), DataSize=len(data), VendorGuid=vendor.bytes_le, **timed
    )
    whole = header + _name(name) + data
    return whole + bytes([ondisk.ERASED]) * (-len(whole) % ondisk.ALIGNMENT)


def _name(name: str) -> bytes:
    return f"{name}\0".encode("utf-16-le")
