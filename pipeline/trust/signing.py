"""Bundles of our own: a statement signed by a managed key, as by cosign 3 (sigstore_bundle.proto, version 0.3).

Pure and deterministic: the same key and digest give the same bytes (Ed25519: RFC 8032; ECDSA: RFC 6979). What is to be
signed and the bundle around a signature are two steps, so that a key may be elsewhere.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError
from pipeline.trust import document, keys, simplesigning, statement
from pipeline.trust.error import SignatureRefusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

CURVE = "secp256r1"
"""Curve of ECDSA keys that sign: for larger ones, verifiers differ in the hash (npm's takes SHA-256 for all)."""
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def load(secret: bytes) -> PrivateKey:
    """Returns the private key in an unencrypted PEM: Ed25519, or ECDSA on P-256. SignatureRefusal."""
    keys.require()
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(secret, None)
    except TypeError:
        raise SignatureRefusal("the private key is encrypted") from None
    except Exception:  # the library has several errors, and their texts name its insides
        raise SignatureRefusal("not a private key in PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name == CURVE:
        return key
    raise SignatureRefusal("a private key that does not sign images: Ed25519, or ECDSA on P-256 do")


def load_public(unsafe_data: bytes) -> keys.PublicKey:
    """Returns a public key in PEM or DER whose private key `load` takes. SignatureRefusal."""
    keys.require()
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    key = keys.load(unsafe_data)
    is_curve = isinstance(key, EllipticCurvePublicKey) and key.curve.name == CURVE
    if is_curve or keys.kind(key) == "Ed25519":
        return key
    raise SignatureRefusal("a public key whose owner does not sign images: Ed25519, or ECDSA on P-256 do")


def payload(digest: Digest) -> bytes:
    """Returns the statement that signs the image with `digest` (in-toto attestation, v1; cosign's predicate).

    The subject has an empty name: version 0.1 of statements asked for one, and readers of both still do.
    """
    algorithm, _, value = digest.partition(":")
    fields = {"_type": statement.TYPES[0], "predicateType": statement.SIGNATURE, "predicate": {}}
    return document.canonical({**fields, "subject": [{"name": "", "digest": {algorithm: value}}]})


def legacy_payload(digest: Digest, name: str) -> bytes:
    """Returns the payload of simple signing for the image with `digest`. name: that of its repository."""
    image, identity = {"docker-manifest-digest": digest}, {"docker-reference": name}
    critical = {"identity": identity, "image": image, "type": simplesigning.TYPE}
    return document.canonical({"critical": critical, "optional": None})


def to_sign(payload: bytes) -> bytes:
    """Returns the bytes that a signature of a statement is of (DSSE protocol, PAE)."""
    return statement.encode(statement.PAYLOAD_TYPE, payload)


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Returns the signature of `data`, by the algorithm that pipeline.trust.keys verifies; the same each time."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    try:
        return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    except UnsupportedAlgorithm:
        raise NodekilnError("this OpenSSL has no deterministic ECDSA (RFC 6979): sign by an Ed25519 key") from None


def assemble(payload: bytes, key: keys.PublicKey, signature: bytes) -> bytes:
    """Returns the bundle of the statement `payload`, and a `signature` of `to_sign(payload)` by `key`.

    SignatureRefusal if it is another one: a wrong signature is never written.
    """
    keys.verify(key, signature, to_sign(payload))
    hint = bytes.fromhex(keys.digest(key).partition(":")[2])
    envelope = {"payload": _base64(payload), "payloadType": statement.PAYLOAD_TYPE}
    fields = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _base64(hint)}},
        "dsseEnvelope": {**envelope, "signatures": [{"sig": _base64(signature)}]},
    }
    return document.canonical(fields)


def bundle(key: PrivateKey, payload: bytes) -> bytes:
    """Returns the bundle of the statement `payload`, signed by `key`."""
    return assemble(payload, key.public_key(), sign(key, to_sign(payload)))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
