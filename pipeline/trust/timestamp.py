"""Time stamps of an authority, verified (RFC 3161, 2.4.2; ESSCertID: RFC 5035, RFC 5816)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from pipeline.ondisk import der
from pipeline.trust import chain, keys
from pipeline.trust.certificate import Certificate, first, sequence
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Authority
from pipeline.trust.timestamp_token import KEY_IDENTIFIER, Token, hash_name, parse

LARGEST = 1 << 16
"""Maximum size of a time stamp, in bytes."""
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
GRANTED = der.encode(der.SEQUENCE, der.integer(0))
"""PKIStatusInfo of a time stamp without remarks (RFC 3161, 2.4.2)."""
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"


def verify_response(unsafe_data: bytes, data: bytes, authorities: Sequence[Authority]) -> datetime:
    """Returns the time at which an authority stamped `data`, from a TimeStampResp in DER. SignatureRefusal."""
    with about("time stamp"):
        status, *token = sequence(der.read(_limited(unsafe_data)))
        if status.encoding != GRANTED or len(token) != 1:
            raise SignatureRefusal("it was not granted")
    return verify(token[0].encoding, data, authorities)


def verify(unsafe_token: bytes, data: bytes, authorities: Sequence[Authority]) -> datetime:
    """Returns the time at which an authority stamped `data`, from a TimeStampToken in DER. SignatureRefusal.

    The certificates of `authorities` decide, at that time. If there are some in the token, the signer's is one of them
    (RFC 3161, 2.4.2).
    """
    with about("time stamp"):
        token = parse(_limited(unsafe_token))
        hash, digest = token.imprint
        if hashlib.new(hash, data).digest() != digest:
            raise SignatureRefusal("it is of other data")
        refusal = SignatureRefusal("the root has no authority that signed it, valid at its time")
        for authority in authorities:
            if authority.validity.holds(token.time) and is_signer(authority.path[0], token):
                chain.verify(authority.path, chain.TIME_STAMPING, token.time)
                _verify_signature(authority.path[0], token)
                return token.time
        raise refusal


def _limited(unsafe_data: bytes) -> bytes:
    if len(unsafe_data) > LARGEST:
        raise SignatureRefusal(f"more than {LARGEST} bytes")
    return unsafe_data


def is_signer(certificate: Certificate, token: Token) -> bool:
    """Returns whether the SignerIdentifier is that of `certificate`."""
    if token.signer.tag == KEY_IDENTIFIER:
        identifier = certificate.extension(SUBJECT_KEY_IDENTIFIER)
        return identifier == der.encode(der.OCTET_STRING, token.signer.content)
    return der.expect(token.signer, der.SEQUENCE) == certificate.issuer + certificate.serial


def _verify_signature(certificate: Certificate, token: Token) -> None:
    if token.certificates and certificate.encoding not in token.certificates:
        raise SignatureRefusal("its certificates are not those of its signer")
    _check_certificate_attribute(certificate, token.attributes)
    chain.verify_signature(keys.load(certificate.key), token.algorithm, token.signature, token.signed)


def _check_certificate_attribute(certificate: Certificate, attributes: dict[str, der.Element]) -> None:
    """Checks that the signer named `certificate` as its own, the first in a list (RFC 3161, 2.4.1; RFC 5816)."""
    if attribute := attributes.get(SIGNING_CERTIFICATE_V2):
        named, *rest = sequence(first(first(attribute)))
        hash: keys.Hash = "sha256"
        if named.tag == der.SEQUENCE:
            hash, (named, *_) = hash_name(named), rest
        digest = hashlib.new(hash, certificate.encoding).digest()
    elif attribute := attributes.get(SIGNING_CERTIFICATE):
        named = first(first(first(attribute)))
        digest = hashlib.sha1(certificate.encoding, usedforsecurity=False).digest()
    else:
        raise SignatureRefusal("it does not name its signer's certificate")
    if named.encoding != der.encode(der.OCTET_STRING, digest):
        raise SignatureRefusal("it names another certificate of its signer")
