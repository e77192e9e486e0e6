"""SignedData of PKCS #7 (RFC 2315, 9.1): one signer, SHA-256, RSA with PKCS #1 v1.5, and no time."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.ondisk import der, x509

DATA = der.encode(der.SEQUENCE, der.identifier("1.2.840.113549.1.7.1"))
"""ContentInfo of data that are somewhere else."""
RSA = der.encode(der.SEQUENCE, x509.RSA, der.encode(der.NULL))
"""AlgorithmIdentifier of RSA with PKCS #1 v1.5."""
TAGGED_0 = 0xA0
"""Tag [0], of certificates and of authenticated attributes."""


def signed_data(content: bytes, chain: Sequence[x509.Certificate], signature: bytes, attributes: bytes = b"") -> bytes:
    """Returns a SignedData. content: a ContentInfo. chain: the signer's certificate, and those that it needs.

    attributes: contents octets of the authenticated attributes, which are what is signed where there are any; else the
    content is.
    """
    certificate = chain[0]
    signer = der.encode(
        der.SEQUENCE, der.integer(1), der.encode(der.SEQUENCE, certificate.issuer, certificate.serial), x509.SHA256,
        der.encode(TAGGED_0, attributes) if attributes else b"", RSA, der.encode(der.OCTET_STRING, signature),
    )  # fmt: skip
    return der.encode(
        der.SEQUENCE, der.integer(1), der.set_of(der.SET, x509.SHA256), content,
        der.set_of(TAGGED_0, *(each.encoding for each in chain)), der.set_of(der.SET, signer),
    )  # fmt: skip
