"""Time stamps of an authority (RFC 3161, 2.4.2; CMS: RFC 5652, 5; ESSCertID: RFC 5035, RFC 5816)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pipeline.ondisk import der
from pipeline.ondisk.x509 import GENERALIZED_TIME
from pipeline.trust import chain, keys
from pipeline.trust.certificate import Certificate, dotted, sequence, time
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Authority

LARGEST = 1 << 16
"""Maximum size of a time stamp, in bytes."""
SIGNED_DATA, TIME_STAMP = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
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
GRANTED = der.encode(der.SEQUENCE, der.integer(0))
"""PKIStatusInfo of a time stamp without remarks (RFC 3161, 2.4.2)."""
EXPLICIT_0, EXPLICIT_1, KEY_IDENTIFIER = 0xA0, 0xA1, 0x80
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"


class Token(NamedTuple):
    """A time stamp. imprint: hash and digest of what was stamped. signer: SignerIdentifier (RFC 5652, 5.3).

    attributes: the signed attributes by their object identifiers. signed: the bytes that `signature` is of.
    """

    imprint: tuple[keys.Hash, bytes]
    time: datetime
    signer: der.Element
    attributes: dict[str, der.Element]
    signed: bytes
    algorithm: bytes
    signature: bytes


def verify_response(unsafe_data: bytes, data: bytes, authorities: Sequence[Authority]) -> datetime:
    """Returns the time at which an authority stamped `data`, from a TimeStampResp in DER. SignatureRefusal."""
    with about("time stamp"):
        status, *token = sequence(der.read(_limited(unsafe_data)))
        if status.encoding != GRANTED or len(token) != 1:
            raise SignatureRefusal("it was not granted")
    return verify(token[0].encoding, data, authorities)


def verify(unsafe_token: bytes, data: bytes, authorities: Sequence[Authority]) -> datetime:
    """Returns the time at which an authority stamped `data`, from a TimeStampToken in DER. SignatureRefusal.

    Certificates in the token are not looked at: those of `authorities` are, at that time.
    """
    with about("time stamp"):
        token = parse(_limited(unsafe_token))
        hash, digest = token.imprint
        if hashlib.new(hash, data).digest() != digest:
            raise SignatureRefusal("it is of other data")
        refusal = SignatureRefusal("the root has no authority that signed it, valid at its time")
        for authority in authorities:
            if authority.validity.holds(token.time) and _is_signer(authority.path[0], token):
                chain.verify(authority.path, chain.TIME_STAMPING, token.time)
                _verify_signature(authority.path[0], token)
                return token.time
        raise refusal


def parse(data: bytes) -> Token:
    """Returns the time stamp in `data`, a ContentInfo with one signer. Its signature is not verified. ValueError."""
    kind, explicit = sequence(der.read(data))
    if dotted(kind) != SIGNED_DATA:
        raise ValueError("not signed data")
    version, algorithms, content, *rest = sequence(der.read(der.expect(explicit, EXPLICIT_0)))
    while rest and rest[0].tag in (EXPLICIT_0, EXPLICIT_1):
        del rest[0]
    (signers,) = rest
    (signer,) = der.children(der.expect(signers, der.SET))
    signer_version, identifier, algorithm, signed, signature_algorithm, signature, *_ = sequence(signer)
    versions = (version.encoding, signer_version.encoding)
    if versions != (der.integer(3), der.integer(3 if identifier.tag == KEY_IDENTIFIER else 1)):
        raise ValueError("of an unknown version")
    hash = _hash(algorithm)
    if [_hash(each) for each in der.children(der.expect(algorithms, der.SET))] != [hash]:
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
    )  # fmt: skip


def _limited(unsafe_data: bytes) -> bytes:
    if len(unsafe_data) > LARGEST:
        raise SignatureRefusal(f"more than {LARGEST} bytes")
    return unsafe_data


def _info(data: bytes) -> tuple[tuple[keys.Hash, bytes], datetime]:
    """Returns imprint and time of a TSTInfo (RFC 3161, 2.4.2)."""
    version, policy, imprint, serial, moment, *_ = sequence(der.read(data))
    der.expect(policy, der.OBJECT_IDENTIFIER)
    der.expect(serial, der.INTEGER)
    der.expect(moment, GENERALIZED_TIME)
    algorithm, digest = sequence(imprint)
    if version.encoding != der.integer(1):
        raise ValueError("of an unknown version")
    return (_hash(algorithm), der.expect(digest, der.OCTET_STRING)), time(moment)


def _hash(algorithm: der.Element) -> keys.Hash:
    kind, *parameters = sequence(algorithm)
    if dotted(kind) not in HASHES or [each.encoding for each in parameters] not in ([], [chain.NULL]):
        raise ValueError("a hash that is not SHA-256, SHA-384 or SHA-512")
    return HASHES[dotted(kind)]


def _algorithm(algorithm: der.Element, hash: keys.Hash) -> bytes:
    """Returns the algorithm of the signature; rsaEncryption means RSA with the signer's hash (RFC 3370, 3.2)."""
    if sequence(algorithm)[0].encoding == RSA_ENCRYPTION:
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


def _is_signer(certificate: Certificate, token: Token) -> bool:
    """Returns whether the SignerIdentifier is that of `certificate`."""
    if token.signer.tag == KEY_IDENTIFIER:
        identifier = certificate.extension(SUBJECT_KEY_IDENTIFIER)
        return identifier == der.encode(der.OCTET_STRING, token.signer.content)
    return der.expect(token.signer, der.SEQUENCE) == certificate.issuer + certificate.serial


def _verify_signature(certificate: Certificate, token: Token) -> None:
    _check_certificate_attribute(certificate, token.attributes)
    chain.verify_signature(keys.load(certificate.key), token.algorithm, token.signature, token.signed)


def _check_certificate_attribute(certificate: Certificate, attributes: dict[str, der.Element]) -> None:
    """Checks that the signer named `certificate` as its own, the first in a list (RFC 3161, 2.4.1; RFC 5816)."""
    if attribute := attributes.get(SIGNING_CERTIFICATE_V2):
        algorithm, *_ = fields = sequence(sequence(sequence(attribute)[0])[0])
        hash = _hash(algorithm) if algorithm.tag == der.SEQUENCE else "sha256"
        named = fields[1 if algorithm.tag == der.SEQUENCE else 0]
        digest = hashlib.new(hash, certificate.encoding).digest()
    elif attribute := attributes.get(SIGNING_CERTIFICATE):
        named = sequence(sequence(sequence(attribute)[0])[0])[0]
        digest = hashlib.sha1(certificate.encoding, usedforsecurity=False).digest()
    else:
        raise SignatureRefusal("it does not name its signer's certificate")
    if named.encoding != der.encode(der.OCTET_STRING, digest):
        raise SignatureRefusal("it names another certificate of its signer")
