"""Public keys, and signatures by them. The type of the key decides the algorithm, never the document that is verified.

| key | signature | hash |
|---|---|---|
| ECDSA on P-256, P-384, P-521 | FIPS 186-5, 6; DER (RFC 3279, 2.2.3) | SHA-256, SHA-384, SHA-512 |
| RSA | PKCS #1 v1.5 (RFC 8017, 8.2), or PSS (8.1) with a salt as long as the hash | SHA-256, or as the caller has it |
| Ed25519 | RFC 8032, 5.1 | its own |
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from pipeline.model.errors import NodekilnError
from pipeline.trust.error import SignatureRefusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

EXTRA = "nodekiln[signatures]"
"""Name of the extra that brings `cryptography`."""
Hash = Literal["sha256", "sha384", "sha512"]
Kind = Literal["ECDSA", "Ed25519", "RSA"]
Padding = Literal["pkcs1", "pss"]
CURVES: dict[str, Hash] = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
"""Curves of ECDSA keys -> hash of their signatures."""
SMALLEST_RSA, LARGEST_RSA = 2048, 8192
"""Size of an RSA key, in bits."""
LARGEST_FILE = 1 << 16
"""Maximum size of a file with a public key, in bytes."""


def load(unsafe_data: bytes) -> PublicKey:
    """Returns the public key (SubjectPublicKeyInfo; RFC 5280, 4.1) in PEM or DER. SignatureRefusal."""
    require()
    from cryptography.hazmat.primitives import serialization

    if len(unsafe_data) > LARGEST_FILE:
        raise SignatureRefusal(f"a public key larger than {LARGEST_FILE} bytes")
    is_pem = unsafe_data.lstrip().startswith(b"-----BEGIN")
    try:
        if is_pem:
            return _usable(serialization.load_pem_public_key(unsafe_data))
        return _usable(serialization.load_der_public_key(unsafe_data))
    except SignatureRefusal:
        raise
    except Exception:  # the library has several errors, and their texts name its insides
        raise SignatureRefusal(f"not a public key in {'PEM' if is_pem else 'DER'}") from None


def encoding(key: PublicKey) -> bytes:
    """Returns the SubjectPublicKeyInfo of `key`, in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def digest(key: PublicKey) -> str:
    """Returns the name of `key`: sha256:… of its SubjectPublicKeyInfo."""
    return f"sha256:{hashlib.sha256(encoding(key)).hexdigest()}"


def verify(
    key: PublicKey, signature: bytes, data: bytes, *, padding: Padding = "pkcs1", hash: Hash | None = None
) -> None:
    """Returns if `signature` is one of `data` by `key`; else SignatureRefusal.

    padding: of an RSA key's signature. hash: instead of the key's own (see the table), for formats that define it;
    never for Ed25519.
    """
    _verify(key, signature, data, hash or own_hash(key), padding, prehashed=False)


def verify_digest(key: PublicKey, signature: bytes, digest: bytes, hash: Hash) -> None:
    """Returns if `signature` is one by `key` of data with this `digest`; else SignatureRefusal, for Ed25519 always."""
    if len(digest) != hashlib.new(hash).digest_size:
        raise SignatureRefusal(f"a digest of {len(digest)} bytes is not one of {hash}")
    if own_hash(key) is None:
        raise SignatureRefusal("an Ed25519 signature is of the data, not of their digest")
    _verify(key, signature, digest, hash, "pkcs1", prehashed=True)


def kind(key: PublicKey) -> Kind:
    """Returns the kind of `key`."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, EllipticCurvePublicKey):
        return "ECDSA"
    return "RSA" if isinstance(key, RSAPublicKey) else "Ed25519"


def own_hash(key: PublicKey) -> Hash | None:
    """Returns the hash of signatures by `key`; None for Ed25519, which has no choice."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if isinstance(key, EllipticCurvePublicKey):
        return CURVES[key.curve.name]
    return "sha256" if kind(key) == "RSA" else None


def require() -> None:
    """Returns if `cryptography` can be imported; else NodekilnError with the command that installs it."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise NodekilnError(f"signatures take the package cryptography: pip install '{EXTRA}'") from None


def _verify(
    key: PublicKey, signature: bytes, data: bytes, hash: Hash | None, padding: Padding, *, prehashed: bool
) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
    from cryptography.hazmat.primitives.asymmetric import padding as paddings

    try:
        if hash is None or not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            key.verify(signature, data)  # type: ignore[call-arg]
            return
        functions = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
        function: hashes.HashAlgorithm = functions[hash]
        algorithm: Any = utils.Prehashed(function) if prehashed else function
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(algorithm))
            return
        pss = paddings.PSS(paddings.MGF1(function), function.digest_size)
        key.verify(signature, data, pss if padding == "pss" else paddings.PKCS1v15(), algorithm)
    except InvalidSignature:
        raise SignatureRefusal("the signature is not one of these data by this key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureRefusal("the signature or its key is malformed") from None


def _usable(key: object) -> PublicKey:
    """Returns `key` if it is of a type, curve and size that signatures are verified by. SignatureRefusal."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return key
    if isinstance(key, RSAPublicKey) and SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
        return key
    if isinstance(key, Ed25519PublicKey):
        return key
    raise SignatureRefusal(
        "a public key that is not taken: ECDSA on P-256, P-384 or P-521, Ed25519, "
        f"or RSA of {SMALLEST_RSA} to {LARGEST_RSA} bits are"
    )
