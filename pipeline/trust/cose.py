"""Notary Project signatures as COSE_Sign1 (RFC 9052, 4.2; notaryproject's signature-envelope-cose.md)."""

from __future__ import annotations

from typing import Any

from pipeline.trust import cbor, notary_envelope
from pipeline.trust.cbor import Tag
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import Envelope

MEDIA_TYPE = "application/cose"
SIGN1, EPOCH_TIME = 18, 1
"""Tags: COSE_Sign1 (RFC 9052, 2), seconds since 1970 UTC (RFC 8949, 3.4.2)."""
ALGORITHM, CRITICAL, CONTENT_TYPE, X5CHAIN = 1, 2, 3, 33
"""Labels of headers (RFC 9052, 3.1; RFC 9360, 2)."""
ALGORITHMS = {-7: "ES256", -35: "ES384", -36: "ES512", -37: "PS256", -38: "PS384", -39: "PS512"}
"""Algorithms (RFC 9053, 2.1; RFC 8230, 2) -> their names in JWA."""
LATEST = 253402300799
"""Latest time: the end of the year 9999, in seconds since 1970 UTC."""


def parse(unsafe_data: bytes) -> Envelope:
    """Returns the envelope in `unsafe_data`, whose signature is not verified. SignatureRefusal."""
    if len(unsafe_data) > notary_envelope.LARGEST:
        raise SignatureRefusal(f"an envelope of more than {notary_envelope.LARGEST} bytes")
    match cbor.decode(unsafe_data):
        case Tag(number, [bytes(raw), unprotected, bytes(payload), bytes(signature)]) if number == SIGN1:
            return _envelope(raw, unprotected, payload, signature)
    raise SignatureRefusal("not a tagged COSE_Sign1 with its payload inside")


def _envelope(raw: bytes, unsafe_unprotected: object, payload: bytes, signature: bytes) -> Envelope:
    """Returns the envelope of a COSE_Sign1. raw: its protected header, encoded."""
    protected = cbor.decode(raw)
    if not isinstance(protected, dict):
        raise SignatureRefusal("the protected header is missing")
    algorithm = protected.get(ALGORITHM)
    if type(algorithm) is not int or algorithm not in ALGORITHMS:
        raise SignatureRefusal(f"algorithm {str(algorithm)[:20]}: {', '.join(map(str, ALGORITHMS))} are known")
    unprotected = notary_envelope.unsigned(protected, unsafe_unprotected)
    if {ALGORITHM, CRITICAL, CONTENT_TYPE} & unprotected.keys():
        raise SignatureRefusal("algorithm, crit or content type stands in the unprotected header")
    token = unprotected.get(notary_envelope.TIMESTAMP)
    return Envelope(
        payload=payload,
        content_type=str(protected.get(CONTENT_TYPE)),
        algorithm=ALGORITHMS[algorithm],
        signed=cbor.encode(["Signature1", raw, b"", payload]),
        signature=signature,
        **notary_envelope.attributes(protected, protected.get(CRITICAL), _time)._asdict(),
        chain=notary_envelope.chain(unprotected.get(X5CHAIN), _bytes),
        timestamp=None if token is None else _bytes(token),
    )


def _bytes(unsafe: Any) -> bytes:
    if not isinstance(unsafe, bytes) or not unsafe:
        raise SignatureRefusal("a certificate or time stamp that is not a byte string")
    return unsafe


def _time(unsafe: object) -> int:
    """Returns a tagged number of seconds since 1970 UTC. Fractions are not to be used (signature-envelope-cose.md)."""
    match unsafe:
        case Tag(number, int(seconds)) if number == EPOCH_TIME and type(seconds) is int and 0 <= seconds <= LATEST:
            return seconds
    raise SignatureRefusal(f"not a time with tag {EPOCH_TIME}: {str(unsafe)[:40]}")
