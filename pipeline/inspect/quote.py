"""Quotes: registers that a TPM signed, with a key that is pinned at its first use.

A quote proves that the TPM with the pinned key holds these registers now. That the key is one of a TPM, and of this
machine's, is believed at its first use: the certificates of TPM vendors are not asked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.host import atomic
from pipeline.inspect.node_report import BadReport, NodeReport
from pipeline.inspect.running import BANK, DIFFERS, EQUAL, NOT_PROVED, Finding
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.ondisk import tpm2

NONCE_BYTES = 32
"""Size of a nonce, in bytes."""
LARGEST_KEY = 1 << 16
"""Maximum size of a file with a key, in bytes."""


def require() -> None:
    """NodekilnError without the package that verifies signatures."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise NodekilnError("a quote takes the package cryptography: pip install 'nodekiln[sign]'") from None


def arguments(nonce: bytes) -> list[str]:
    """Returns the words for images/init/attest that ask the TPM."""
    return ["--quote", tpm2.create_key().hex(), tpm2.quote(nonce).hex()]


def verify(report: NodeReport, nonce: bytes, source: str) -> bytes:
    """Returns the public key, in PEM, that signed the registers of the report and `nonce`.

    BadReport, which names `source`, for a quote that is wrong or missing.
    """
    if report.quote is None:
        raise BadReport(f"{source}: the report has no quote")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    try:
        quote = tpm2.read(*report.quote)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + quote.point)
        key.verify(utils.encode_dss_signature(*quote.signature), quote.attested, ec.ECDSA(hashes.SHA256()))
        registers = {number: bytes.fromhex(text) for number, text in report.registers.get(BANK, {}).items()}
        tpm2.check(quote.attested, nonce, registers)
    except InvalidSignature:
        raise BadReport(f"{source}: the quote's signature is not that of the TPM's key") from None
    except ValueError as error:
        raise BadReport(f"{source}: {error}") from None
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def compare(key: bytes, file: Path) -> Finding:
    """Compares the key of a verified quote with that in `file`, which is written at its first use. BadInput."""
    had = _fingerprint(key)
    try:
        with file.open("rb") as source:
            pinned = _read(source.read(LARGEST_KEY), file)
    except FileNotFoundError:
        atomic.write(file, key)
        return Finding("quote", f"{file} is new", had, NOT_PROVED)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    wanted = _fingerprint(pinned)
    return Finding("quote", wanted, had, EQUAL if wanted == had else DIFFERS)


def _read(data: bytes, file: Path) -> bytes:
    """Returns the public key in PEM, as `verify` does. BadInput."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_public_key(data)
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{file}: not a public key in PEM") from None


def _fingerprint(key: bytes) -> str:
    """Returns the SHA-256 of a key's PEM, in hexadecimal."""
    return hashlib.sha256(key).hexdigest()
