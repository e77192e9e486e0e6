"""Certification paths for a purpose, at a time (RFC 5280, 6.1): from a leaf to an anchor that is trusted as it stands.

Checked: signatures, names, validity, basic constraints with path lengths, key usage, extended key usage, critical
extensions. Policies, name constraints and revocation are not looked at: a critical extension about them is a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipeline.ondisk import der
from pipeline.trust import keys
from pipeline.trust.certificate import BOOLEAN, Certificate, dotted, sequence
from pipeline.trust.error import SignatureRefusal, about

CODE_SIGNING, TIME_STAMPING = "1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.8"
"""Purposes of extended key usage (4.2.1.12)."""
ANY_PURPOSE = "2.5.29.37.0"
KEY_USAGE, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE = "2.5.29.15", "2.5.29.19", "2.5.29.37"
SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
MAY_BE_CRITICAL = (KEY_USAGE, BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, SUBJECT_ALTERNATIVE_NAME)
DIGITAL_SIGNATURE, CERTIFICATE_SIGNING = 0x80, 0x04
"""Bits of the first octet of key usage (4.2.1.3)."""
LONGEST = 10
"""Maximum number of certificates of a path."""
ALGORITHMS: dict[str, tuple[keys.Kind, keys.Hash | None]] = {
    "1.2.840.10045.4.3.2": ("ECDSA", "sha256"),
    "1.2.840.10045.4.3.3": ("ECDSA", "sha384"),
    "1.2.840.10045.4.3.4": ("ECDSA", "sha512"),
    "1.2.840.113549.1.1.11": ("RSA", "sha256"),
    "1.2.840.113549.1.1.12": ("RSA", "sha384"),
    "1.2.840.113549.1.1.13": ("RSA", "sha512"),
    "1.3.101.112": ("Ed25519", None),
}
"""Signature algorithms (RFC 5758, RFC 4055, RFC 8410) -> kind of the key, hash."""
NULL = der.encode(der.NULL)


def verify(path: Sequence[Certificate], purpose: str, time: datetime) -> None:
    """Returns if `path`, the leaf first and the anchor last, is one for `purpose` at `time`; else SignatureRefusal."""
    if not 1 <= len(path) <= LONGEST:
        raise SignatureRefusal(f"a path of {len(path)} certificates: 1 to {LONGEST} are taken")
    for number, certificate in enumerate(path):
        with about("the signer's certificate" if number == 0 else f"authority {number} above the signer"):
            if not certificate.is_valid(time):
                raise SignatureRefusal(f"not valid at {time:%Y-%m-%dT%H:%M:%SZ}")
            _check_critical(certificate)
            if number:
                _check_authority(certificate, purpose, below=number - 1)
            else:
                _check_leaf(certificate, purpose)
            if number + 1 < len(path):
                _check_issued(certificate, path[number + 1])


def verify_signature(key: keys.PublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
    """Returns if `signature` is one of `data` by `key` with this AlgorithmIdentifier; else SignatureRefusal."""
    kind, hash = ALGORITHMS.get(_algorithm(algorithm), (None, None))
    if kind != keys.kind(key):
        raise SignatureRefusal("a signature algorithm that is not known, or not one of the key")
    keys.verify(key, signature, data, hash=hash)


def purposes(certificate: Certificate) -> frozenset[str] | None:
    """Returns the purposes of extended key usage; None if the extension is absent. ValueError."""
    value = certificate.extension(EXTENDED_KEY_USAGE)
    return None if value is None else frozenset(map(dotted, sequence(der.read(value))))


def usage(certificate: Certificate) -> int | None:
    """Returns the first octet of key usage; None if the extension is absent. ValueError."""
    value = certificate.extension(KEY_USAGE)
    if value is None:
        return None
    content = der.expect(der.read(value), der.BIT_STRING)
    if not 2 <= len(content) <= 3 or content[0] > 7:
        raise ValueError("a malformed key usage")
    return content[1]


def is_authority(certificate: Certificate) -> tuple[bool, int | None]:
    """Returns whether basic constraints make it an authority, and the limit of authorities below it. ValueError."""
    value = certificate.extension(BASIC_CONSTRAINTS)
    fields = sequence(der.read(value)) if value is not None else []
    authority = bool(fields) and fields[0].tag == BOOLEAN and fields.pop(0).content == b"\xff"
    if len(fields) > 1 or (fields and not authority):
        raise ValueError("malformed basic constraints")
    length = der.expect(fields[0], der.INTEGER) if fields else None
    return authority, None if length is None else int.from_bytes(length, "big", signed=True)


def _algorithm(identifier: bytes) -> str:
    kind, *parameters = sequence(der.read(identifier))
    if [each.encoding for each in parameters] not in ([], [NULL]):
        raise SignatureRefusal("a signature algorithm with parameters")
    return dotted(kind)


def _check_critical(certificate: Certificate) -> None:
    understood = set(map(der.identifier, MAY_BE_CRITICAL))
    for identifier, extension in certificate.extensions.items():
        if extension.critical and identifier not in understood:
            raise SignatureRefusal("a critical extension that is not understood")


def _check_leaf(certificate: Certificate, purpose: str) -> None:
    if is_authority(certificate)[0]:
        raise SignatureRefusal("it is that of an authority")
    if not (usage(certificate) or 0) & DIGITAL_SIGNATURE:
        raise SignatureRefusal("its key may not sign (key usage)")
    allowed = purposes(certificate)
    if allowed is None or purpose not in allowed or (purpose == TIME_STAMPING and len(allowed) > 1):
        raise SignatureRefusal("its key is not for this purpose (extended key usage)")


def _check_authority(certificate: Certificate, purpose: str, below: int) -> None:
    """Checks one that issues certificates, with `below` authorities between it and the leaf."""
    authority, length = is_authority(certificate)
    if not authority or (length is not None and not 0 <= below <= length):
        raise SignatureRefusal("not an authority, or not of so long a path (basic constraints)")
    allowed_usage = usage(certificate)
    if allowed_usage is not None and not allowed_usage & CERTIFICATE_SIGNING:
        raise SignatureRefusal("its key may not sign certificates (key usage)")
    allowed = purposes(certificate)
    if allowed is not None and not allowed & {purpose, ANY_PURPOSE}:
        raise SignatureRefusal("it is not for this purpose (extended key usage)")


def _check_issued(certificate: Certificate, authority: Certificate) -> None:
    if certificate.issuer != authority.subject:
        raise SignatureRefusal("another authority issued it")
    verify_signature(keys.load(authority.key), certificate.algorithm, certificate.signature, certificate.tbs)
