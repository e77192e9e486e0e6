"""Certificates enrolled for Secure Boot in a file of EDK II's variables (OVMF_VARS), for emulated machines."""

from __future__ import annotations

from struct import error
from uuid import UUID

from pipeline.ondisk import efivars as ondisk
from pipeline.writers import FormatError

OWNER = UUID("6e6f6465-6b69-6c6e-8000-000000000000")
"""Owner of the signatures: "nodekiln" in ASCII."""
PROTECTED = ondisk.NON_VOLATILE | ondisk.BOOT_SERVICE | ondisk.RUNTIME | ondisk.TIME_BASED
ENROLLED = ondisk.TIME.pack(Year=2020, Month=1, Day=1)
"""Time of the variables: a later change of them needs a later one."""


def enrol(flash: bytes, platform_key: bytes, exchange_key: bytes, database: bytes) -> bytes:
    """Returns the flash with the certificates (DER) as PK, KEK and db, and Secure Boot on.

    FormatError for what is no file of variables, has no room, or has a platform key already.
    """
    variables = [
        _variable("db", ondisk.DATABASE, _list(database), PROTECTED),
        _variable("KEK", ondisk.GLOBAL, _list(exchange_key), PROTECTED),
        _variable("PK", ondisk.GLOBAL, _list(platform_key), PROTECTED),
        _variable(
            "SecureBootEnable", ondisk.SECURE_BOOT_ENABLE, b"\1", ondisk.NON_VOLATILE | ondisk.BOOT_SERVICE
        ),
    ]  # fmt: skip
    try:
        at, end = _free(flash)
    except (error, ValueError) as problem:
        raise FormatError(f"not a file of UEFI's variables: {problem}") from None
    added = b"".join(variables)
    if at + len(added) > end:
        raise FormatError(f"{len(added)} bytes of variables; there is room for {end - at}")
    return flash[:at] + added + flash[at + len(added) :]


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


def _list(certificate: bytes) -> bytes:
    """Returns a list with one certificate."""
    entry = OWNER.bytes_le + certificate
    header = ondisk.SIGNATURE_LIST.pack(
        SignatureType=ondisk.X509.bytes_le, SignatureListSize=ondisk.SIGNATURE_LIST.size + len(entry),
        SignatureSize=len(entry),
    )  # fmt: skip
    return header + entry
