"""Bodies of log entries, compared with a signature, its key or certificate, and its data.

Rekor's kinds hashedrekord 0.0.1 and 0.0.2, dsse 0.0.1 and 0.0.2, intoto 0.0.2 (rekor, pkg/types; rekor-tiles, api).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pipeline.trust import keys
from pipeline.trust.document import Object, decode_base64
from pipeline.trust.entry import Entry
from pipeline.trust.error import SignatureRefusal, about

HASHES: dict[str, keys.Hash] = {
    "sha256": "sha256", "sha384": "sha384", "sha512": "sha512",
    "SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512",
}  # fmt: skip
"""Names of hashes: Rekor's own, and those of sigstore_common.proto (HashAlgorithm)."""
PEM_CERTIFICATE, PEM_KEY = ("-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----")


class Signed(NamedTuple):
    """A signature and what it is of.

    verifier: certificate or SubjectPublicKeyInfo in DER. is_certificate: which of them. data: the signed bytes; None if
    only their digest is known. digest: of these bytes, by the key's own hash, `hash`; None for Ed25519 without
    data. payload: of a DSSE envelope; None for another signature.
    """

    signature: bytes
    verifier: bytes
    is_certificate: bool
    data: bytes | None
    digest: bytes | None
    hash: keys.Hash
    payload: bytes | None
    payload_type: str = ""


def check(entry: Entry, signed: Signed) -> None:
    """Returns if the body of `entry` is about `signed`; else SignatureRefusal."""
    readers = {
        ("hashedrekord", "0.0.1"): _hashedrekord_1,
        ("hashedrekord", "0.0.2"): _hashedrekord_2,
        ("dsse", "0.0.1"): _dsse_1,
        ("dsse", "0.0.2"): _dsse_2,
        ("intoto", "0.0.2"): _intoto_2,
    }
    read = readers.get((entry.kind, entry.version))
    if read is None:
        raise SignatureRefusal(f"log entry: of kind {entry.kind[:20]!a} {entry.version[:20]!a}, which is not known")
    with about(f"log entry of kind {entry.kind} {entry.version}"):
        read(entry.body, signed)


def _hashedrekord_1(spec: Object, signed: Signed) -> None:
    if signed.payload is not None:
        raise SignatureRefusal("it is not of an envelope")
    hash = spec.object("data").object("hash")
    _check_digest(hash.text("algorithm"), _hex(hash, "value"), signed)
    signature = spec.object("signature")
    _check_signature(signature.blob("content"), signed)
    _check_verifier(pem(signature.object("publicKey").blob("content")), signed)


def _hashedrekord_2(spec: Object, signed: Signed) -> None:
    record = spec.object("hashedRekordV002")
    data, signature = record.object("data"), record.object("signature")
    _check_digest(data.text("algorithm"), data.blob("digest"), signed)
    _check_signature(signature.blob("content"), signed)
    _check_verifier(_verifier(signature.object("verifier")), signed)


def _dsse_1(spec: Object, signed: Signed) -> None:
    hash = spec.object("payloadHash")
    _check_payload(hash.text("algorithm"), _hex(hash, "value"), signed)
    signature = _one(spec, "signatures")
    _check_signature(signature.blob("signature"), signed)
    _check_verifier(pem(signature.blob("verifier")), signed)


def _dsse_2(spec: Object, signed: Signed) -> None:
    record = spec.object("dsseV002")
    hash = record.object("payloadHash")
    _check_payload(hash.text("algorithm"), hash.blob("digest"), signed)
    signature = _one(record, "signatures")
    _check_signature(signature.blob("content"), signed)
    _check_verifier(_verifier(signature.object("verifier")), signed)


def _intoto_2(spec: Object, signed: Signed) -> None:
    """Checks a body whose signature is in base64 twice, and whose payload may have been left out by the log."""
    content = spec.object("content")
    hash, envelope = content.object("payloadHash"), content.object("envelope")
    _check_payload(hash.text("algorithm"), _hex(hash, "value"), signed)
    if envelope.text("payloadType") != signed.payload_type:
        raise SignatureRefusal("its payload is of another type")
    signature = _one(envelope, "signatures")
    with about("signature"):
        inner = signature.blob("sig").decode("ascii")
    _check_signature(decode_base64(inner, "the signature"), signed)
    _check_verifier(pem(signature.blob("publicKey")), signed)


def _one(fields: Object, name: str) -> Object:
    entries = fields.objects(name, 1)
    if not entries:
        raise SignatureRefusal(f"{fields.path}.{name} is empty")
    return entries[0]


def _check_digest(algorithm: str, digest: bytes, signed: Signed) -> None:
    expected = signed.digest
    if signed.data is not None and algorithm in HASHES:
        expected = hashlib.new(HASHES[algorithm], signed.data).digest()
    elif HASHES.get(algorithm) != signed.hash:
        expected = None
    if expected is None or digest != expected:
        raise SignatureRefusal("it is of other data")


def _check_payload(algorithm: str, digest: bytes, signed: Signed) -> None:
    if signed.payload is None or HASHES.get(algorithm) != "sha256":
        raise SignatureRefusal("it is of an envelope, or its hash is not SHA-256")
    if hashlib.sha256(signed.payload).digest() != digest:
        raise SignatureRefusal("it is of another payload")


def _check_signature(signature: bytes, signed: Signed) -> None:
    if signature != signed.signature:
        raise SignatureRefusal("it has another signature")


def _check_verifier(verifier: tuple[bool, bytes], signed: Signed) -> None:
    if verifier != (signed.is_certificate, signed.verifier):
        raise SignatureRefusal("it has another key or certificate")


def _verifier(fields: Object) -> tuple[bool, bytes]:
    is_certificate = fields.has("x509Certificate")
    if is_certificate == fields.has("publicKey"):
        raise SignatureRefusal(f"{fields.path}: one of certificate and key is needed")
    return is_certificate, fields.object("x509Certificate" if is_certificate else "publicKey").blob("rawBytes")


def pem(data: bytes) -> tuple[bool, bytes]:
    """Returns whether a PEM text (RFC 7468) is a certificate, else a public key, and its DER."""
    with about("PEM"):
        first, *lines, last = data.decode("ascii").removesuffix("\n").split("\n")
        if first not in (PEM_CERTIFICATE, PEM_KEY) or last != first.replace("BEGIN", "END"):
            raise ValueError("neither a certificate nor a public key")
        return first == PEM_CERTIFICATE, decode_base64("".join(lines), "it")


def _hex(fields: Object, name: str) -> bytes:
    with about(f"{fields.path}.{name}"):
        return bytes.fromhex(fields.text(name))
