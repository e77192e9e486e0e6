"""The time stamp of an envelope, by an authority of a trust store (notaryproject/specifications,
trust-store-trust-policy.md, "Signature Verification", step 6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipeline.trust import certificate, codesigning, timestamp, timestamp_token
from pipeline.trust.certificate import Certificate
from pipeline.trust.chain import LONGEST
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Authority, Validity

MOST_CERTIFICATES = 20
"""Maximum number of certificates in a time stamp."""


def verify(unsafe_token: bytes | None, signature: bytes, roots: Sequence[bytes]) -> tuple[datetime, datetime]:
    """Returns the earliest and the latest time at which `signature` was stamped. SignatureRefusal.

    unsafe_token: TimeStampToken (RFC 3161, 2.4.2) in DER; None if there is none. roots: trusted certificates, in DER.
    """
    if unsafe_token is None:
        raise SignatureRefusal("no time stamp, and the trust store has time stamp authorities")
    with about("time stamp"):
        if len(unsafe_token) > timestamp.LARGEST:
            raise SignatureRefusal(f"more than {timestamp.LARGEST} bytes")
        token = timestamp_token.parse(unsafe_token)
        if len(token.certificates) > MOST_CERTIFICATES:
            raise SignatureRefusal(f"more than {MOST_CERTIFICATES} certificates")
        trusted, others = (list(map(certificate.parse, each)) for each in (roots, token.certificates))
    authorities = [
        Authority(path, Validity(path[0].not_before, path[0].not_after))
        for path in (_path(each, trusted, others) for each in others)
        if path
    ]
    moment = timestamp.verify(unsafe_token, signature, authorities)
    signer = next(each for each in authorities if timestamp.is_signer(each.path[0], token))
    with about("time stamp"):
        codesigning.check_chain(signer.path, "time stamping")
    return moment - token.accuracy, moment + token.accuracy


def _path(leaf: Certificate, trusted: list[Certificate], others: list[Certificate]) -> tuple[Certificate, ...]:
    """Returns a path from `leaf` to a trusted certificate; () if there is none."""
    path = [leaf]
    while path[-1] not in trusted and len(path) <= LONGEST:
        issuers = (each for each in (*trusted, *others) if each not in path)
        issuer = next((each for each in issuers if codesigning.is_issued_by(path[-1], each)), None)
        if issuer is None:
            return ()
        path.append(issuer)
    return tuple(path) if path[-1] in trusted else ()
