"""Time stamp tokens, parsed: signed data (RFC 5652, 5) about a time (RFC 3161, 2.4.2). No signature is verified."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.ondisk import der
from pipeline.ondisk.x509 import GENERALIZED_TIME
from pipeline.trust import chain, keys
from pipeline.trust.certificate import dotted, first, sequence, time

SIGNED_DATA, TIME_STAMP = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
HASHES: dict[str, keys.Hash] = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
RSA_ENCRYPTION = der.identifier("1.2.840.113549.1.1.1")
RSA_SIGNATURES = {
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
MILLISECONDS, MICROSECONDS = 0x80, 0x81
LARGEST_ACCURACY = 86400
"""Maximum number in an accuracy: a day, in seconds."""
BASELINE_POLICY, BASELINE_ACCURACY = "0.4.0.2023.1.1", timedelta(seconds=1)
"""Policy whose authorities are accurate to a second (RFC 3628, 5.2)."""
EXPLICIT_0, KEY_IDENTIFIER = 0xA0, 0x80


class Token(NamedTuple):
    """A time stamp. imprint: hash and digest of what was stamped. signer: SignerIdentifier (RFC 5652, 5.3).

    accuracy: largest difference between `time` and the time of the stamp.

    attributes: the signed attributes by their object identifiers. signed: the bytes that `signature` is of.
    certificates: encodings of those in the token, which nothing signs.
    """

    imprint: tuple[keys.Hash, bytes]
    time: datetime
    accuracy: timedelta
    signer: der.Element
    attributes: dict[str, der.Element]
    signed: bytes
    algorithm: bytes
    signature: bytes
    certificates: tuple[bytes, ...]


def parse(data: bytes) -> Token:
    """Returns the time stamp in `data`, a ContentInfo with one signer. Its signature is not verified. ValueError."""
    kind, explicit = sequence(der.read(data))
    if dotted(kind) != SIGNED_DATA:
        raise ValueError("not signed data")
    version, algorithms, content, *rest = sequence(der.read(der.expect(explicit, EXPLICIT_0)))
    certificates, rest = _certificates(rest)
    (signers,) = rest
    (signer,) = der.children(der.expect(signers, der.SET))
    signer_version, identifier, algorithm, signed, signature_algorithm, signature, *_ = sequence(signer)
    versions = (version.encoding, signer_version.encoding)
    if versions != (der.integer(3), der.integer(3 if identifier.tag == KEY_IDENTIFIER else 1)):
        raise ValueError("of an unknown version")
    hash = hash_name(algorithm)
    if [hash_name(each) for each in der.children(der.expect(algorithms, der.SET))] != [hash]:
        raise ValueError("its algorithms of digests are not that of its signer")
    kind, wrapped = sequence(content)
    if dotted(kind) != TIME_STAMP:
        raise ValueError("not about a time")
    info = der.expect(der.read(der.expect(wrapped, EXPLICIT_0)), der.OCTET_STRING)
    attributes = _attributes(der.expect(signed, EXPLICIT_0))
    _check_attributes(attributes, hashlib.new(hash, info).digest())
    return Token(
        *_info(info), identifier, attributes, der.encode(der.SET, signed.content),
        _algorithm(signature_algorithm, hash), der.expect(signature, der.OCTET_STRING),
        certificates,
    )  # fmt: skip


def _certificates(fields: list[der.Element]) -> tuple[tuple[bytes, ...], list[der.Element]]:
    """Returns the certificates of SignedData, and the fields after them (RFC 5652, 5.1).

    Revocation lists are not taken: nothing signs that they belong to the time stamp.
    """
    if not fields or fields[0].tag != EXPLICIT_0:
        return (), fields
    return tuple(each.encoding for each in der.children(fields[0].content)), fields[1:]


def _info(data: bytes) -> tuple[tuple[keys.Hash, bytes], datetime, timedelta]:
    """Returns imprint, time and accuracy of a TSTInfo (RFC 3161, 2.4.2)."""
    version, policy, imprint, serial, moment, *rest = sequence(der.read(data))
    der.expect(policy, der.OBJECT_IDENTIFIER)
    der.expect(serial, der.INTEGER)
    der.expect(moment, GENERALIZED_TIME)
    algorithm, digest = sequence(imprint)
    if version.encoding != der.integer(1):
        raise ValueError("of an unknown version")
    default = BASELINE_ACCURACY if dotted(policy) == BASELINE_POLICY else timedelta()
    accuracy = _accuracy(rest[0]) if rest and rest[0].tag == der.SEQUENCE else default
    return (hash_name(algorithm), der.expect(digest, der.OCTET_STRING)), time(moment), accuracy


def _accuracy(element: der.Element) -> timedelta:
    """Returns an Accuracy: seconds, thousandths and millionths, of which each may be absent."""
    units = {der.INTEGER: "seconds", MILLISECONDS: "milliseconds", MICROSECONDS: "microseconds"}
    fields = der.children(element.content)
    if [each.tag for each in fields] != [tag for tag in units if tag in {each.tag for each in fields}]:
        raise ValueError("a malformed accuracy")
    parts = {units[each.tag]: int.from_bytes(each.content, "big", signed=True) for each in fields}
    if not all(0 <= value <= LARGEST_ACCURACY for value in parts.values()):
        raise ValueError(f"an accuracy that is not between 0 and {LARGEST_ACCURACY}")
    return timedelta(**parts)


def hash_name(algorithm: der.Element) -> keys.Hash:
    """Returns the hash that an AlgorithmIdentifier means. ValueError."""
    kind, *parameters = sequence(algorithm)
    if dotted(kind) not in HASHES or [each.encoding for each in parameters] not in ([], [chain.NULL]):
        raise ValueError("a hash that is not SHA-256, SHA-384 or SHA-512")
    return HASHES[dotted(kind)]


def _algorithm(algorithm: der.Element, hash: keys.Hash) -> bytes:
    """Returns the algorithm of the signature; rsaEncryption means RSA with the signer's hash (RFC 3370, 3.2)."""
    if first(algorithm).encoding == RSA_ENCRYPTION:
        return der.encode(der.SEQUENCE, der.identifier(RSA_SIGNATURES[hash]))
    return algorithm.encoding


def _attributes(data: bytes) -> dict[str, der.Element]:
    """Returns attributes with one value each, by object identifier (RFC 5652, 11)."""
    result: dict[str, der.Element] = {}
    for attribute in der.children(data):
        kind, values = sequence(attribute)
        (value,) = der.children(der.expect(values, der.SET))
        if result.setdefault(dotted(kind), value) is not value:
            raise ValueError("an attribute that is there twice")
    return result


def _check_attributes(attributes: dict[str, der.Element], digest: bytes) -> None:
    content_type = attributes.get(CONTENT_TYPE)
    message_digest = attributes.get(MESSAGE_DIGEST)
    if content_type is None or content_type.encoding != der.identifier(TIME_STAMP):
        raise ValueError("signed attributes without the content's type")
    if message_digest is None or message_digest.encoding != der.encode(der.OCTET_STRING, digest):
        raise ValueError("signed attributes of other content")
