"""Bundles of sigstore, versions 0.1 to 0.3: a signature and its evidence (protobuf-specs, sigstore_bundle.proto).

A keyless bundle is verified as of the times that it proves: a log's promise, time stamps. So no clock is needed. Not
looked at, since the root and the rule decide: further certificates of a chain, the hint of a key, an envelope's id
of its key, the time of an entry without a promise.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

from pipeline.trust import certificate, document, entry, keyless, keys, record, statement, timestamp
from pipeline.trust.document import Object
from pipeline.trust.entry import Entry
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.evidence import BUNDLES
from pipeline.trust.record import Signed
from pipeline.trust.root import Root
from pipeline.trust.signer import Signer

LARGEST = 4 << 20
"""Maximum size of a bundle, in bytes."""
ENTRIES, TIMESTAMPS, CERTIFICATES = 32, 32, 10
"""Maximum numbers of log entries, of time stamps, and of certificates of a chain."""
MATERIAL = ("publicKey", "x509CertificateChain", "certificate")


class Verification(NamedTuple):
    """A verified bundle.

    digests: those that it is about: of an envelope's subjects, or of the message. predicate_type: of an envelope's
    statement; "" for a signature of a message, which is one of its bytes and nothing else.
    """

    signer: Signer
    digests: frozenset[str]
    predicate_type: str = ""


class _Signatory(NamedTuple):
    """The key that signed, and the certificate that has it; None for a managed key."""

    key: keys.PublicKey
    certificate: certificate.Certificate | None


def verify(
    unsafe_data: bytes, root: Root | None, *, key: keys.PublicKey | None = None, artifact: bytes | None = None
) -> Verification:
    """Returns signer and subject of the bundle in `unsafe_data`. SignatureRefusal.

    root: of a keyless bundle. With a managed key: if there is a root, a log entry is needed; if there is none, entries
    and time stamps are not looked at. key: the managed key that has to have signed; without it, only keyless bundles
    are taken. artifact: the signed message, where its bytes are known: an Ed25519 signature of a message takes them.
    """
    with about("bundle"):
        fields = document.parse(unsafe_data, LARGEST)
        fields.only("mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope")
        version = BUNDLES.get(fields.text("mediaType"))
        if version is None:
            raise SignatureRefusal(f"mediaType {fields.text('mediaType')[:80]!a} is not known")
        material = fields.object("verificationMaterial").only(*MATERIAL, "tlogEntries", "timestampVerificationData")
        signatory = _signatory(material, version, key)
        signed = _signed(fields, signatory, artifact)
        _verify_signature(signed, signatory.key)
        entries, times = _evidence(material, version, signed, root)
        return _result(signed, signatory, entries, times, root)


def _signatory(material: Object, version: str, key: keys.PublicKey | None) -> _Signatory:
    """Returns who has to have signed: the certificate of the bundle, or the managed key."""
    kinds = [name for name in MATERIAL if material.has(name)]
    other = "x509CertificateChain" if version == "0.3" else "certificate"
    if len(kinds) != 1 or kinds == [other]:
        raise SignatureRefusal(f"one of public key and certificate is needed, and no {other} in version {version}")
    if kinds == ["publicKey"]:
        material.object("publicKey").only("hint")
        if key is None:
            raise SignatureRefusal("it is signed by a managed key, and none is trusted here")
        return _Signatory(key, None)
    if key is not None:
        raise SignatureRefusal("it is signed by a certificate, not by the managed key")
    if kinds == ["certificate"]:
        first = material.object("certificate")
    else:
        chain = material.object("x509CertificateChain").only("certificates").objects("certificates", CERTIFICATES)
        if not chain:
            raise SignatureRefusal("an empty chain of certificates")
        first = chain[0]
    leaf = certificate.parse(first.only("rawBytes").blob("rawBytes"))
    return _Signatory(keys.load(leaf.key), leaf)


def _signed(fields: Object, signatory: _Signatory, artifact: bytes | None) -> Signed:
    leaf = signatory.certificate
    verifier = leaf.encoding if leaf else keys.encoding(signatory.key)
    hash = keys.own_hash(signatory.key)
    if fields.has("messageSignature") == fields.has("dsseEnvelope"):
        raise SignatureRefusal("one of message and envelope is needed")
    payload, payload_type = None, ""
    if fields.has("dsseEnvelope"):
        signature, payload, payload_type = _envelope(fields.object("dsseEnvelope"))
        data: bytes | None = statement.encode(payload_type, payload)
        digest = None
    else:
        message = fields.object("messageSignature").only("messageDigest", "signature")
        signature, data = message.blob("signature"), artifact
        digest = _message_digest(message, hash, artifact)
    if data is not None:
        digest = hashlib.new(hash or "sha256", data).digest()
    return Signed(signature, verifier, leaf is not None, data, digest, hash or "sha256", payload, payload_type)


def _envelope(fields: Object) -> tuple[bytes, bytes, str]:
    """Returns signature, payload and its type of a DSSE envelope with one signature (DSSE, envelope.md)."""
    fields.only("payload", "payloadType", "signatures")
    signatures = fields.objects("signatures", 1)
    if not signatures:
        raise SignatureRefusal("an envelope without a signature")
    signature = signatures[0].only("sig", "keyid")
    return signature.blob("sig"), fields.blob("payload"), fields.text("payloadType")


def _message_digest(fields: Object, hash: keys.Hash | None, artifact: bytes | None) -> bytes | None:
    """Returns the digest that the bundle states; None if it states none. SignatureRefusal if `artifact` has another."""
    if not fields.has("messageDigest"):
        return None
    stated = fields.object("messageDigest").only("algorithm", "digest")
    algorithm, digest = record.HASHES.get(stated.text("algorithm")), stated.blob("digest")
    if algorithm is None or (hash is not None and algorithm != hash):
        raise SignatureRefusal("its digest is of another hash than the signature")
    if artifact is not None and hashlib.new(algorithm, artifact).digest() != digest:
        raise SignatureRefusal("it is of another artifact")
    return digest


def _verify_signature(signed: Signed, key: keys.PublicKey) -> None:
    with about("signature"):
        if signed.data is not None:
            keys.verify(key, signed.signature, signed.data)
        elif signed.digest is not None:
            keys.verify_digest(key, signed.signature, signed.digest, signed.hash)
        else:
            raise SignatureRefusal("it states no digest, and the artifact is not at hand")


def _evidence(material: Object, version: str, signed: Signed, root: Root | None) -> tuple[list[Entry], list[datetime]]:
    """Returns the verified entries and times, the earliest first. All entries and time stamps are verified."""
    unsafe_entries = material.objects("tlogEntries", ENTRIES)
    stamps: list[Object] = []
    if material.has("timestampVerificationData"):
        data = material.object("timestampVerificationData").only("rfc3161Timestamps")
        stamps = data.objects("rfc3161Timestamps", TIMESTAMPS)
    if root is None:
        return [], []
    entries = [entry.verify(each, root.signature_logs, promise_suffices=version == "0.1") for each in unsafe_entries]
    for each in entries:
        record.check(each, signed)
    blobs = [each.only("signedTimestamp").blob("signedTimestamp") for each in stamps]
    places = {(each.log.log_id, each.log_index) for each in entries}
    if len(places) < len(entries) or len(set(blobs)) < len(blobs):
        raise SignatureRefusal("a log entry or a time stamp is there twice")
    times = [timestamp.verify_response(blob, signed.signature, root.timestamp_authorities) for blob in blobs]
    times += [each.time for each in entries if each.time]
    for each in entries:
        validity = each.log.validity
        if each.time is None and not (all(map(validity.holds, times)) if times else validity.end is None):
            raise SignatureRefusal("log entry: the root's log was not valid at the verified time")
    return entries, sorted(times)


def _result(
    signed: Signed, signatory: _Signatory, entries: list[Entry], times: list[datetime], root: Root | None
) -> Verification:
    leaf = signatory.certificate
    if (root is None and leaf) or (root and not entries):
        raise SignatureRefusal("no log has it, or no root says which logs are trusted")
    time = int(times[0].timestamp()) if times else None
    log_id, index = (entries[0].log.log_id.hex(), entries[0].log_index) if entries else (None, None)
    if leaf and root:
        keyless.verify(leaf, root, times)
        issuer, name = keyless.identity(leaf)
        signer = Signer("certificate", name, issuer, time, log_id, index)
    else:
        signer = Signer("key", keys.digest(signatory.key), "", time, log_id, index)
    if signed.payload is None:
        digest = f"{signed.hash}:{(signed.digest or b'').hex()}"
        return Verification(signer, frozenset([digest]))
    if signed.payload_type != statement.PAYLOAD_TYPE:
        raise SignatureRefusal(f"payloadType {signed.payload_type[:80]!a} is not {statement.PAYLOAD_TYPE}")
    stated = statement.parse(signed.payload)
    return Verification(signer, stated.digests, stated.predicate_type)
