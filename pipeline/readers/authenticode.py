"""Signatures of EFI programs, read and verified (Authenticode; UEFI 2.10, 32.5.3; RFC 2315, 9).

Fails closed: a signature is returned only if it is right for the program that it is attached to. Trust in its
certificate is the caller's: firmware looks for it in db.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pipeline.ondisk import authenticode as ondisk
from pipeline.ondisk import der, x509
from pipeline.readers import DAMAGED, StructureError
from pipeline.readers.view import View, chunks


class Signature(NamedTuple):
    """A verified signature. image: the Authenticode hash that it signs. data: the SignedData that is attached."""

    certificate: x509.Certificate
    image: bytes
    data: bytes


def image_hash(view: View) -> bytes:
    """Returns the Authenticode hash (SHA-256) of a program, signed or not. StructureError."""
    try:
        return _image_hash(view)
    except DAMAGED as problem:
        raise StructureError(f"not an EFI program that can be signed: {problem}") from None


def signatures(view: View) -> list[Signature]:
    """Returns the signatures of a program, all verified; [] for an unsigned one. StructureError if one is wrong."""
    try:
        image, where = _image_hash(view), ondisk.layout(view.read(0, ondisk.LARGEST_HEAD), view.size)
        return [_verified(data, image) for data in _entries(view.read(where.end, where.table))]
    except DAMAGED as problem:
        raise StructureError(f"the signature is wrong: {problem}") from None


def _image_hash(view: View) -> bytes:
    head = view.read(0, ondisk.LARGEST_HEAD)
    return ondisk.image_hash(head, chunks(view, len(head)), view.size)


def _entries(table: bytes) -> list[bytes]:
    """Returns the signatures of a certificate table."""
    entries, at = [], 0
    while at < len(table):
        entry = ondisk.CERTIFICATE.unpack(table, at)
        end = at + entry.dwLength
        if (entry.wRevision, entry.wCertificateType) != (0x0200, 0x0002):
            raise ValueError(f"a certificate of type {entry.wCertificateType:#x}, revision {entry.wRevision:#x}")
        if entry.dwLength <= ondisk.CERTIFICATE.size or end > len(table):
            raise ValueError(f"a certificate of {entry.dwLength} bytes")
        entries.append(der.first(table[at + ondisk.CERTIFICATE.size : end]).encoding)
        at = end + -end % ondisk.ALIGNMENT
    return entries


def _verified(data: bytes, image: bytes) -> Signature:
    """Returns the signature in a ContentInfo. ValueError if it is not one of a program with the hash `image`."""
    kind, wrapped = der.children(der.expect(der.read(data), der.SEQUENCE))
    if kind.encoding != ondisk.SIGNED_DATA:
        raise ValueError("it is no SignedData")
    body = der.children(der.expect(der.read(der.expect(wrapped, ondisk.EXPLICIT_0)), der.SEQUENCE))
    _, _, content, certificates, *_, signers = body
    signed, message = _indirect_data(content)
    if signed != image:
        raise ValueError(f"it is one of a program with the hash {signed.hex()}, and this one has {image.hex()}")
    (signer,) = der.children(der.expect(signers, der.SET))
    candidates = [each.encoding for each in der.children(der.expect(certificates, ondisk.EXPLICIT_0))]
    return Signature(_signer(signer, candidates, message), image, data)


def _indirect_data(content: der.Element) -> tuple[bytes, bytes]:
    """Returns the hash in a SpcIndirectDataContent, and the digest of that content."""
    kind, wrapped = der.children(der.expect(content, der.SEQUENCE))
    if kind.encoding != ondisk.INDIRECT_DATA:
        raise ValueError("its content is no SpcIndirectDataContent")
    data = der.expect(der.read(der.expect(wrapped, ondisk.EXPLICIT_0)), der.SEQUENCE)
    _, info = der.children(data)
    algorithm, digest = der.children(der.expect(info, der.SEQUENCE))
    if algorithm.encoding != x509.SHA256:
        raise ValueError("its hash is not a SHA-256")
    return der.expect(digest, der.OCTET_STRING), hashlib.sha256(data).digest()


def _signer(signer: der.Element, candidates: list[bytes], message: bytes) -> x509.Certificate:
    """Returns the certificate of a SignerInfo, whose signature it verifies. ValueError."""
    _, name, algorithm, attributes, _, signature, *_ = der.children(der.expect(signer, der.SEQUENCE))
    values = _attributes(der.expect(attributes, ondisk.EXPLICIT_0))
    wanted = {ondisk.CONTENT_TYPE: ondisk.INDIRECT_DATA, ondisk.MESSAGE_DIGEST: der.encode(der.OCTET_STRING, message)}
    if algorithm.encoding != x509.SHA256 or any(values.get(kind) != value for kind, value in wanted.items()):
        raise ValueError("its attributes are not those of its content")
    digest = hashlib.sha256(der.encode(der.SET, attributes.content)).digest()
    for certificate in map(x509.parse, candidates):
        if certificate.issuer + certificate.serial == der.expect(name, der.SEQUENCE):
            if certificate.verifies(der.expect(signature, der.OCTET_STRING), digest):
                return certificate
            raise ValueError("the certificate's key did not make it")
    raise ValueError("it has no certificate of its signer")


def _attributes(content: bytes) -> dict[bytes, bytes]:
    """Returns attributes as type -> value. ValueError for one with several values, or given twice."""
    values: dict[bytes, bytes] = {}
    for attribute in der.children(content):
        kind, value = der.children(der.expect(attribute, der.SEQUENCE))
        if kind.encoding in values:
            raise ValueError("it has an attribute twice")
        values[kind.encoding] = der.read(der.expect(value, der.SET)).encoding
    return values
