"""Private keys in files: what they sign, and new ones with self-signed certificates. The one place that reads them.

`cryptography` (the extra nodekiln[signatures]) is imported inside functions; certificates and signatures of
programs are checked without it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.host import atomic
from pipeline.model.errors import BadInput
from pipeline.ondisk import x509
from pipeline.trust import keys
from pipeline.writers import efivars

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_BITS = 2048
"""Size of a new key, in bits."""
EXPONENT = 65537
VALID_FROM, VALID_UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
"""Validity of a new certificate. Firmware has no clock that it trusts, and does not look at it."""


SIGNERS = {"PK": "PK", "KEK": "PK", "db": "KEK"}
"""Variable of the firmware -> the one whose key signs changes of it (UEFI 2.10, 8.2.2)."""
ENDINGS = ("key", "pem", "cer", "auth")


class KeyFiles(NamedTuple):
    """The files of a new key: the private key (PEM, unencrypted), the certificate in PEM and in DER, and the signed
    change that enrols it."""

    key: Path
    certificate: Path
    der: Path
    update: Path


def sign(path: Path, certificate: x509.Certificate, data: bytes) -> bytes:
    """Returns the signature of `data` (RSA, PKCS #1 v1.5, SHA-256) by the key in the file `path`.

    BadInput for a file that is no such key, or not that of `certificate`. The same data give the same signature.
    """
    key = _load(path)
    numbers = key.public_key().public_numbers()
    if (numbers.n, numbers.e) != (certificate.modulus, certificate.exponent):
        raise BadInput(f"{path}: not the key of the certificate {certificate.subject}")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def create_all(folder: Path, owner: str) -> dict[str, KeyFiles]:
    """Writes a new key, a self-signed certificate and a signed change for each of SIGNERS into `folder`.

    The files are NAME.key, .pem, .cer and .auth, the certificates' common names are `owner` and the name; a .gitignore
    keeps the keys out of git. BadInput, and nothing is written, if a file is there.
    """
    keys.require()
    every = {name: KeyFiles(*(folder / f"{name}.{ending}" for ending in ENDINGS)) for name in SIGNERS}
    if there := [file for files in every.values() for file in files if file.exists()]:
        raise BadInput(f"{there[0]} is there already: a key is never replaced")
    if not (folder / ".gitignore").exists():
        atomic.write(folder / ".gitignore", "*.key\n")
    for name, files in every.items():
        _create(files, f"{owner} {name}")
    for name, signer in SIGNERS.items():
        atomic.write(every[name].update, _update(name, every[name].der.read_bytes(), every[signer]))
    return every


def _update(name: str, certificate: bytes, signer: KeyFiles) -> bytes:
    """Returns the signed change that makes `certificate` (DER) the content of the variable `name`."""
    content, known = efivars.certificate_list(certificate), x509.from_file(signer.der.read_bytes())
    return efivars.update(content, known, sign(signer.key, known, efivars.to_sign(name, content)))


def _create(files: KeyFiles, subject: str) -> None:
    from cryptography import x509 as certificates
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(EXPONENT, KEY_BITS)
    common = certificates.Name([certificates.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = certificates.CertificateBuilder().subject_name(common).issuer_name(common).public_key(key.public_key())
    builder = builder.serial_number(certificates.random_serial_number())
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_UNTIL)
    certificate = builder.sign(key, hashes.SHA256())
    encoding, private = serialization.Encoding, serialization.PrivateFormat.PKCS8
    _write_private(files.key, key.private_bytes(encoding.PEM, private, serialization.NoEncryption()))
    atomic.write(files.certificate, certificate.public_bytes(encoding.PEM))
    atomic.write(files.der, certificate.public_bytes(encoding.DER))


def _write_private(path: Path, data: bytes) -> None:
    """Writes a new file that its owner alone may read."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
    with open(path, "xb", opener=lambda name, _: os.open(name, flags, 0o600)) as file:
        file.write(data)


def _load(path: Path) -> RSAPrivateKey:
    keys.require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except TypeError:
        raise BadInput(f"{path}: the key is encrypted: sign elsewhere, by --request and --attach") from None
    except Exception:  # the library has several errors, and their texts name its insides
        raise BadInput(f"{path}: no private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise BadInput(f"{path}: not an RSA key: UEFI's firmware takes no other")
    return key
