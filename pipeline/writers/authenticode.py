"""Signatures of EFI programs: a PKCS #7 SignedData in the certificate table (Authenticode; UEFI 2.10, 32.5.3).

The signature itself comes from elsewhere: from a key's file, or from whoever signed `pipeline.ondisk.authenticode`'s
signed attributes. Nothing here depends on the time or on chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from struct import error

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import authenticode as ondisk
from pipeline.ondisk import der, pe, x509
from pipeline.writers import FormatError, pkcs7

VERSION = 1
Wordsum = Callable[[Content], int]
"""The sum of a content's little-endian 16-bit words, modulo 2^16 - 1."""


def signed_data(image: bytes, chain: Sequence[x509.Certificate], signature: bytes) -> bytes:
    """Returns the SignedData of a program with the Authenticode hash `image`. FormatError for another's signature.

    chain: the signer's certificate, and those between it and the one that firmware has.
    """
    attributes = ondisk.signed_attributes(image)
    if not chain[0].verifies(signature, hashlib.sha256(attributes).digest()):
        raise FormatError(f"the signature is not one of {hashlib.sha256(attributes).hexdigest()} by the certificate")
    content = der.encode(der.SEQUENCE, ondisk.INDIRECT_DATA, der.encode(ondisk.EXPLICIT_0, ondisk.indirect_data(image)))
    data = pkcs7.signed_data(content, chain, signature, der.read(attributes).content)
    return der.encode(der.SEQUENCE, ondisk.SIGNED_DATA, der.encode(ondisk.EXPLICIT_0, data))


def attach(head: bytes, rest: Content, data: bytes, wordsum: Wordsum, out: Sink) -> None:
    """Writes a program with the SignedData `data` attached. FormatError for one that is signed, and for too much data.

    head: its first bytes, of an even number and at least the headers. rest: what follows.
    """
    size = len(head) + length(rest)
    try:
        where = ondisk.layout(head, size)
    except (ValueError, error) as problem:
        raise FormatError(f"the EFI program cannot be signed: {problem}") from None
    if where.table:
        raise FormatError("the EFI program is signed already: give the unsigned one")
    padding, entry = bytes(-size % ondisk.ALIGNMENT), _entry(data)
    if len(entry) > ondisk.LARGEST_TABLE:
        raise FormatError(f"a certificate table of {len(entry)} bytes: {ondisk.LARGEST_TABLE} are taken")
    patched, total = bytearray(head), size + len(padding) + len(entry)
    pe.DATA_DIRECTORY.patch(patched, where.directory, VirtualAddress=size + len(padding), Size=len(entry))
    patched[where.checksum : where.checksum + 4] = bytes(4)
    words = sum(int.from_bytes(part, "little") for part in (patched, entry)) + wordsum(rest)  # 2^16 is 1 modulo 65535
    checksum = ((words - 1) % 0xFFFF + 1 + total) & 0xFFFFFFFF
    patched[where.checksum : where.checksum + 4] = checksum.to_bytes(4, "little")
    out.write(bytes(patched))
    out.extend(rest)
    out.write(padding + entry)


def _entry(data: bytes) -> bytes:
    """Returns the entry of the certificate table for the SignedData `data`, padded."""
    entry = ondisk.CERTIFICATE.pack(dwLength=ondisk.CERTIFICATE.size + len(data)) + data
    return entry + bytes(-len(entry) % ondisk.ALIGNMENT)
