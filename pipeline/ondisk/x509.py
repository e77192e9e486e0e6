"""X.509 certificates with RSA keys, and PKCS #1 v1.5 signatures by them (RFC 5280, 4.1; RFC 8017, 8.2.2).

Only public values are read here: what holds a private key is pipeline.project.signing_keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from pipeline.ondisk import der

RSA = der.identifier("1.2.840.113549.1.1.1")
SHA256, SHA384, SHA512 = (
    der.encode(der.SEQUENCE, der.identifier(f"2.16.840.1.101.3.4.2.{number}"), der.encode(der.NULL))
    for number in (1, 2, 3)
)
"""AlgorithmIdentifiers of hashes."""
HASHES = {
    der.encode(der.SEQUENCE, der.identifier(f"1.2.840.113549.1.1.{number}"), der.encode(der.NULL)): hash
    for number, hash in ((11, ("sha256", SHA256)), (12, ("sha384", SHA384)), (13, ("sha512", SHA512)))
}
"""AlgorithmIdentifier of an RSA signature -> name and AlgorithmIdentifier of its hash (RFC 4055, 5)."""
SMALLEST_KEY, LARGEST_KEY = 2048, 4096
"""Size of an RSA key, in bits: firmware need not take a smaller one (UEFI 2.10, 32.2.4), nor has it room for others."""
EXPLICIT_VERSION = 0xA0
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
ATTRIBUTES = {"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU"}
"""Types of a name's attributes -> their short names (RFC 4514, 3)."""
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
LARGEST_FILE = 1 << 16
"""Maximum size of a file with certificates, in bytes."""
MOST_CERTIFICATES = 8
"""Maximum number of certificates in a file."""


class Certificate(NamedTuple):
    """A certificate. encoding: the whole of it. issuer, serial, name: encoded elements, the name being the subject.
    subject: as RFC 4514 writes names. body, algorithm, signature: what its issuer signed, how, and the signature."""

    encoding: bytes
    issuer: bytes
    serial: bytes
    name: bytes
    subject: str
    not_before: datetime
    not_after: datetime
    modulus: int
    exponent: int
    body: bytes
    algorithm: bytes
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return hashlib.sha256(self.encoding).hexdigest()

    def issued(self, other: Certificate) -> bool:
        """Returns whether this certificate's key signed `other`, with RSA and SHA-2 (RFC 5280, 6.1.3)."""
        if other.issuer != self.name or other.algorithm not in HASHES:
            return False
        hash, identifier = HASHES[other.algorithm]
        return self.verifies(other.signature, hashlib.new(hash, other.body).digest(), identifier)

    def verifies(self, signature: bytes, digest: bytes, hash: bytes = SHA256) -> bool:
        """Returns whether `signature` is one of `digest`, by the AlgorithmIdentifier `hash`, by this certificate's key.

        The encoded message is compared as a whole, so that no padding but the right one passes (RFC 8017, 8.2.2).
        """
        size = (self.modulus.bit_length() + 7) // 8
        value = int.from_bytes(signature, "big")
        if len(signature) != size or value >= self.modulus:
            return False
        info = der.encode(der.SEQUENCE, hash, der.encode(der.OCTET_STRING, digest))
        message = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
        return hmac.compare_digest(pow(value, self.exponent, self.modulus).to_bytes(size, "big"), message)


def from_file(unsafe_data: bytes) -> Certificate:
    """Returns the certificate of a file in PEM or DER. ValueError for anything but one certificate with an RSA key."""
    found = chain_from_file(unsafe_data)
    if len(found) > 1:
        raise ValueError(f"{len(found)} certificates: one is needed")
    return found[0]


def chain_from_file(unsafe_data: bytes) -> list[Certificate]:
    """Returns the certificates of a file in PEM, or the one of a file in DER: the signer's first, then issuers.

    ValueError for what is none, and where one is not issued by the next.
    """
    if len(unsafe_data) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    blocks = PEM.findall(unsafe_data)
    if len(blocks) > MOST_CERTIFICATES:
        raise ValueError(f"{len(blocks)} certificates: at most {MOST_CERTIFICATES} are taken")
    if not blocks and b"-----BEGIN" in unsafe_data:
        raise ValueError("no certificate in PEM")
    try:
        found = [parse(data) for data in map(base64.b64decode, blocks)] if blocks else [parse(unsafe_data)]
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    for below, above in pairwise(found):
        if not above.issued(below):
            raise ValueError(f"{below.subject} is not signed by {above.subject}, which follows it")
    return found


def parse(unsafe_data: bytes) -> Certificate:
    """Returns the certificate `unsafe_data`, in DER. ValueError."""
    body, algorithm, signature = _sequence(der.read(unsafe_data))[:3]
    fields = _sequence(body)
    if fields[:1] and fields[0].tag == EXPLICIT_VERSION:
        del fields[0]
    if len(fields) < 6:
        raise ValueError("a certificate without a key")
    serial, _, issuer, validity, subject, key = fields[:6]
    der.expect(serial, der.INTEGER)
    start, end = (_time(each) for each in _sequence(validity))
    return Certificate(
        unsafe_data, issuer.encoding, serial.encoding, subject.encoding, _name(subject), start, end, *_rsa(key),
        body.encoding, algorithm.encoding, der.expect(signature, der.BIT_STRING)[1:],
    )  # fmt: skip


def _sequence(element: der.Element) -> list[der.Element]:
    found = der.children(der.expect(element, der.SEQUENCE))
    if not found:
        raise ValueError("an empty sequence")
    return found


def _rsa(info: der.Element) -> tuple[int, int]:
    """Returns modulus and exponent of a SubjectPublicKeyInfo (RFC 8017, A.1.1)."""
    algorithm, key = _sequence(info)
    if _sequence(algorithm)[0].encoding != RSA:
        raise ValueError("its key is not an RSA key: UEFI's firmware takes no other")
    modulus, exponent = (
        int.from_bytes(der.expect(each, der.INTEGER), "big")
        for each in _sequence(der.read(der.expect(key, der.BIT_STRING)[1:]))
    )
    if not SMALLEST_KEY <= modulus.bit_length() <= LARGEST_KEY:
        raise ValueError(f"its key has {modulus.bit_length()} bits: {SMALLEST_KEY} to {LARGEST_KEY} are taken")
    return modulus, exponent


def _time(element: der.Element) -> datetime:
    """Returns a time (RFC 5280, 4.1.2.5): two digits of a year are 1950 to 2049."""
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != GENERALIZED_TIME:
        raise ValueError("a validity without a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(element: der.Element) -> str:
    """Returns a distinguished name as text, the last part first (RFC 4514, 2.1)."""
    short = {der.identifier(dotted): name for dotted, name in ATTRIBUTES.items()}
    parts = []
    for relative in der.children(der.expect(element, der.SEQUENCE)):
        for pair in der.children(der.expect(relative, der.SET)):
            kind, value = _sequence(pair)
            text = value.content.decode("utf-8", "replace")
            escaped = re.sub(r'([,+"\\<>;])', r"\\\1", text)
            parts.append(f"{short.get(kind.encoding, kind.content.hex())}={escaped}")
    return ",".join(reversed(parts))
