"""Certificates for tests, made by `cryptography`: authorities and leaves with every fault that a path may have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipeline.trust import certificate

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
MIDDLE = datetime(2024, 6, 1, tzinfo=UTC)
PURPOSES = {"code": ExtendedKeyUsageOID.CODE_SIGNING, "time": ExtendedKeyUsageOID.TIME_STAMPING}
PURPOSES |= {"server": ExtendedKeyUsageOID.SERVER_AUTH, "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class Issued(NamedTuple):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def parsed(self) -> certificate.Certificate:
        return certificate.parse(self.certificate.public_bytes(Encoding.DER))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, issues, False, False, False)


def issue(
    name: str,
    by: Issued | None = None,
    *,
    authority: bool = False,
    length: int | None = None,
    purposes: tuple[str, ...] = (),
    key_usage: x509.KeyUsage | None = None,
    critical: bool = False,
    start: datetime = START,
    end: datetime = END,
    issuer: str | None = None,
) -> Issued:
    """Returns a new certificate. authority: by basic constraints. critical: with an unknown critical extension."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else None
    above = above or (by.certificate.subject if by else subject)
    builder = x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number(), start, end)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(True, length), critical=True)
    key_usage = key_usage or usage(signs=not authority, issues=authority)
    builder = builder.add_extension(key_usage, critical=True)
    if purposes:
        usages = x509.ExtendedKeyUsage([PURPOSES[purpose] for purpose in purposes])
        builder = builder.add_extension(usages, critical="time" in purposes)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
        builder = builder.add_extension(unknown, critical=True)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)
