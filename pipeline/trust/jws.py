"""Notary Project signatures as JSON Web Signatures: flattened JSON serialization (RFC 7515, 7.2.2; notaryproject's
signature-envelope-jws.md)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.trust import document, notary_envelope
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import Envelope

MEDIA_TYPE = "application/jose+json"
FIELDS = {"header", "payload", "protected", "signature"}
ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
"""Algorithms that a protected header may name: none of RFC 7518's others, of which `none` and HS256 are two."""
REGISTERED = {"alg", "b64", "crit", "cty", "jku", "jwk", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u"}
"""Headers of RFC 7515, 4.1, and RFC 7797, which may not be called critical, or have no use here."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""A time of RFC 3339, 5.6."""
ALPHABET = str.maketrans("-_", "+/")
"""Characters of base64url -> those of base64 (RFC 4648, 5)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(unsafe_data: bytes) -> Envelope:
    """Returns the envelope in `unsafe_data`, whose signature is not verified. SignatureRefusal."""
    fields = document.parse(unsafe_data, notary_envelope.LARGEST, "JWS").fields
    if fields.keys() != FIELDS:
        raise SignatureRefusal(f"a JWS of one signature has {', '.join(sorted(FIELDS))}, and nothing else")
    protected = document.parse(base64url(fields["protected"]), notary_envelope.LARGEST, "protected header").fields
    algorithm = protected.get("alg")
    if algorithm not in ALGORITHMS:
        raise SignatureRefusal(f"algorithm {str(algorithm)[:20]!r}: {', '.join(ALGORITHMS)} are known")
    unprotected = notary_envelope.unsigned(protected, fields["header"])
    if {"alg", "crit", "cty"} & unprotected.keys():
        raise SignatureRefusal("alg, crit or cty stands in the unprotected header")
    token = unprotected.get(notary_envelope.TIMESTAMP)
    return Envelope(
        payload=base64url(fields["payload"]),
        content_type=str(protected.get("cty")),
        algorithm=algorithm,
        signed=f"{fields['protected']}.{fields['payload']}".encode(),
        signature=base64url(fields["signature"]),
        **_attributes(protected),
        chain=notary_envelope.chain(unprotected.get("x5c"), _base64),
        timestamp=None if token is None else _base64(token),
    )


def base64url(unsafe: object) -> bytes:
    """Returns the bytes that `unsafe` is in base64url: no padding, no line ends, no bits left over (RFC 7515, 2)."""
    if not isinstance(unsafe, str) or not unsafe or re.search("[+/=]", unsafe):
        raise SignatureRefusal(f"not a text in base64url without padding: {str(unsafe)[:40]!a}")
    return document.decode_base64(unsafe.translate(ALPHABET) + "=" * (-len(unsafe) % 4), "a text in base64url")


def _base64(unsafe: object) -> bytes:
    """Returns the bytes that `unsafe` is in base64 (RFC 4648, 4), which certificates and time stamps are in."""
    if not isinstance(unsafe, str) or not unsafe:
        raise SignatureRefusal("a certificate or time stamp in base64 is missing")
    return document.decode_base64(unsafe, "a certificate or time stamp")


def _attributes(protected: dict[str, Any]) -> dict[str, Any]:
    critical = protected.get("crit")
    if isinstance(critical, list) and any(name in REGISTERED for name in critical if isinstance(name, str)):
        raise SignatureRefusal("a header of JWS itself is called critical")
    return notary_envelope.attributes(protected, critical, _time)._asdict()


def _time(unsafe: object) -> int:
    """Returns a time of RFC 3339 in seconds since 1970 UTC, without fractions of a second."""
    if not isinstance(unsafe, str) or not (match := TIME.fullmatch(unsafe)):
        raise SignatureRefusal(f"not a time of RFC 3339: {str(unsafe)[:40]!r}")
    try:
        moment = datetime.fromisoformat(unsafe.replace(match[1] or "", ""))
    except ValueError:
        raise SignatureRefusal(f"not a time: {unsafe}") from None
    return (moment - EPOCH) // timedelta(seconds=1)
