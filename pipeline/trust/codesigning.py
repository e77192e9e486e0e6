"""Certificate chains that sign artifacts (notaryproject/specifications, signature-specification.md, "Certificate
Requirements" and "Algorithm Selection").

A chain is ordered: the signer's certificate, those of authorities, the root; or it is one certificate, signed by
itself. Basic constraints, key usage and extended key usage are looked at, and no other extension. Revocation is not: it
would take the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal

from pipeline.ondisk import der
from pipeline.trust import chain as paths
from pipeline.trust import distinguished_name, keys
from pipeline.trust.certificate import Certificate
from pipeline.trust.chain import BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, KEY_USAGE, TIME_STAMPING
from pipeline.trust.error import SignatureRefusal, about

ALGORITHMS: dict[int | str, tuple[str, keys.Hash]] = {
    2048: ("PS256", "sha256"), 3072: ("PS384", "sha384"), 4096: ("PS512", "sha512"),
    "secp256r1": ("ES256", "sha256"), "secp384r1": ("ES384", "sha384"), "secp521r1": ("ES512", "sha512"),
}  # fmt: skip
"""Size of an RSA key in bits, or curve of an ECDSA key -> the one algorithm of its signatures (JWA), its hash."""
DIGITAL_SIGNATURE, CONTENT_COMMITMENT, CERTIFICATE_SIGNING = 0x8000, 0x4000, 0x0400
"""Bits of key usage in two octets (RFC 5280, 4.2.1.3)."""
REFUSED_PURPOSES = {
    "2.5.29.37.0": "any", "1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.4": "emailProtection", TIME_STAMPING: "timeStamping", "1.3.6.1.5.5.7.3.9": "OCSPSigning",
}  # fmt: skip
"""Extended key usages (RFC 5280, 4.2.1.12) that a certificate for code signing may not have."""
Purpose = Literal["code signing", "time stamping"]


def algorithm(certificate: Certificate) -> tuple[str, keys.Hash]:
    """Returns the one algorithm of the key of `certificate`, as JWA names it, and its hash. SignatureRefusal."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    match keys.load(certificate.key):
        case rsa.RSAPublicKey() as key if key.key_size in ALGORITHMS:
            return ALGORITHMS[key.key_size]
        case ec.EllipticCurvePublicKey() as key:
            return ALGORITHMS[key.curve.name]
    raise SignatureRefusal("its key is neither RSA of 2048, 3072 or 4096 bits, nor ECDSA on P-256, P-384 or P-521")


def verify(certificate: Certificate, signature: bytes, data: bytes) -> None:
    """Returns if `signature` is one of `data` by the key of `certificate`; else SignatureRefusal.

    RSA is PSS; an ECDSA signature is the two numbers, one after another (RFC 7518, 3.4 and 3.5; RFC 9053, 2.1).
    """
    key, (_, hash) = keys.load(certificate.key), algorithm(certificate)
    if keys.kind(key) == "ECDSA":
        size = (key.key_size + 7) // 8  # type: ignore[union-attr]
        if len(signature) != 2 * size:
            raise SignatureRefusal(f"an ECDSA signature of {len(signature)} bytes, not {2 * size}")
        numbers = (der.integer(int.from_bytes(each, "big")) for each in (signature[:size], signature[size:]))
        signature = der.encode(der.SEQUENCE, *numbers)
    keys.verify(key, signature, data, padding="pss", hash=hash)


def check_chain(chain: Sequence[Certificate], purpose: Purpose = "code signing") -> None:
    """Returns if `chain` is one of certificates for `purpose`, whenever they are valid; else SignatureRefusal."""
    for certificate, issuer in pairwise(chain):
        with _naming(certificate):
            if is_issued_by(certificate, certificate):
                raise SignatureRefusal("signed by itself, and not the last of its chain")
            if not is_issued_by(certificate, issuer):
                raise SignatureRefusal("not issued by the next of its chain")
    with _naming(chain[-1]):
        if not is_issued_by(chain[-1], chain[-1]):
            raise SignatureRefusal("the last of its chain, and not signed by itself")
    for below, authority in enumerate(chain[1:]):
        with _naming(authority):
            _check_authority(authority, below, purpose)
    with _naming(chain[0]):
        _check_leaf(chain[0], purpose)


def check_validity(chain: Sequence[Certificate], first: datetime, last: datetime) -> None:
    """Returns if all of `chain` are valid from `first` to `last`; else SignatureRefusal."""
    for certificate in chain:
        start, end = certificate.not_before, certificate.not_after
        with _naming(certificate):
            if not start <= first <= last <= end:
                raise SignatureRefusal(f"valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, not at the signature's time")


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Returns whether `issuer` has the name that `certificate` names, and the key that signed it."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        key = keys.load(issuer.key)
        paths.verify_signature(key, certificate.algorithm, certificate.signature, certificate.tbs)
    except (SignatureRefusal, ValueError):
        return False
    return True


def is_authority(certificate: Certificate) -> bool:
    """Returns whether basic constraints call `certificate` an authority's. SignatureRefusal if they are malformed."""
    with _naming(certificate):
        return paths.is_authority(certificate)[0]


@contextlib.contextmanager
def _naming(certificate: Certificate) -> Iterator[None]:
    """Puts the subject of `certificate` before refusals, and makes such of ValueError."""
    try:
        yield
    except (SignatureRefusal, ValueError):
        with about(f"certificate {distinguished_name.text(certificate.subject)[:200]!a}"):
            raise


def _check_authority(certificate: Certificate, below: int, purpose: Purpose) -> None:
    """Checks one of an authority. below: number of authorities between it and the signer's certificate."""
    authority, longest = paths.is_authority(certificate)
    if not authority or not _is_critical(certificate, BASIC_CONSTRAINTS):
        raise SignatureRefusal("an authority has critical basic constraints with cA")
    if longest is not None and not 0 <= below <= longest:
        raise SignatureRefusal(f"{below} authorities are below it, more than its {longest}")
    if not _key_usage(certificate, purpose) & CERTIFICATE_SIGNING:
        raise SignatureRefusal("its key usage has no keyCertSign")


def _check_leaf(certificate: Certificate, purpose: Purpose) -> None:
    if paths.is_authority(certificate)[0]:
        raise SignatureRefusal("it signs, and is an authority's")
    if _key_usage(certificate, purpose) & ~CONTENT_COMMITMENT != DIGITAL_SIGNATURE:
        raise SignatureRefusal("its key usage is not digitalSignature alone")
    purposes = paths.purposes(certificate)
    if purpose == "time stamping":
        if purposes != frozenset([TIME_STAMPING]) or not _is_critical(certificate, EXTENDED_KEY_USAGE):
            raise SignatureRefusal("its extended key usage is not timeStamping alone, and critical")
    elif refused := sorted(REFUSED_PURPOSES[each] for each in (purposes or frozenset()) & REFUSED_PURPOSES.keys()):
        raise SignatureRefusal(f"its extended key usage has {', '.join(refused)}")
    algorithm(certificate)


def _key_usage(certificate: Certificate, purpose: Purpose) -> int:
    """Returns the bits of key usage, which has to be there, and to be critical for code signing. ValueError."""
    value = certificate.extension(KEY_USAGE)
    if value is None or not (purpose == "time stamping" or _is_critical(certificate, KEY_USAGE)):
        raise SignatureRefusal("its key usage is missing or not critical")
    content = der.expect(der.read(value), der.BIT_STRING)
    if not 2 <= len(content) <= 3 or content[0] > 7:
        raise SignatureRefusal("its key usage is malformed")
    return int.from_bytes(content[1:].ljust(2, b"\0"), "big")


def _is_critical(certificate: Certificate, identifier: str) -> bool:
    return certificate.extensions[der.identifier(identifier)].critical
