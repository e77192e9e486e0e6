"""cosign's simple signing: a layer with a payload, whose signature and evidence are annotations (cosign, specs:
SIGNATURE_SPEC.md; payload: containers-signature(5)).

The annotations are written as a bundle of version 0.1, which has the same parts, and are verified as one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pipeline.model.digest import is_digest
from pipeline.trust import bundle, document, keys, record
from pipeline.trust.bundle import Verification
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Root

MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
TYPE = "cosign container image signature"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE, LOG_ENTRY = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"
"""Annotations of the layer. Another one, the certificate's chain, is not looked at: the root has its authorities."""
BUNDLE = "application/vnd.dev.sigstore.bundle+json;version=0.1"
LARGEST = 1 << 16
"""Maximum size of a payload and of an annotation, in bytes."""


def verify(
    unsafe_payload: bytes,
    unsafe_annotations: Mapping[str, str],
    root: Root | None,
    *,
    key: keys.PublicKey | None = None,
) -> Verification:
    """Returns the signer, and the digest of the manifest that the payload names. SignatureRefusal.

    root, key: as for `bundle.verify`. With a key, a certificate is not looked at. `docker-reference`, the name that an
    image had when it was signed, is never believed: whoever copies an image may give it another one.
    """
    with about("simple signing"):
        digest = _digest(unsafe_payload)
        if key is not None and keys.own_hash(key) not in ("sha256", None):
            raise SignatureRefusal("its hash is SHA-256, which is not that of the key's curve")
        material: dict[str, Any] = {"publicKey": {}} if key is not None else _certificate(unsafe_annotations)
        if LOG_ENTRY in unsafe_annotations:
            material["tlogEntries"] = [_log_entry(_annotation(unsafe_annotations, LOG_ENTRY))]
        if TIMESTAMP in unsafe_annotations:
            response = _annotation(unsafe_annotations, TIMESTAMP).only("SignedRFC3161Timestamp")
            stamp = {"signedTimestamp": response.text("SignedRFC3161Timestamp")}
            material["timestampVerificationData"] = {"rfc3161Timestamps": [stamp]}
        message = {"signature": unsafe_annotations.get(SIGNATURE)}
    unsafe_bundle = {"mediaType": BUNDLE, "verificationMaterial": material, "messageSignature": message}
    unsafe_data = json.dumps(unsafe_bundle).encode()
    return Verification(bundle.verify(unsafe_data, root, key=key, artifact=unsafe_payload).signer, frozenset([digest]))


def _digest(unsafe_payload: bytes) -> str:
    """Returns the digest in a payload. In its critical part, what is not known is refused (containers-signature(5))."""
    fields = document.parse(unsafe_payload, LARGEST, "payload").only("critical", "optional")
    if fields.has("optional"):
        fields.object("optional")
    critical = fields.object("critical").only("identity", "image", "type")
    critical.object("identity").only("docker-reference")
    if critical.text("type") != TYPE:
        raise SignatureRefusal(f"payload.critical.type is not {TYPE!r}")
    digest = critical.object("image").only("docker-manifest-digest").text("docker-manifest-digest")
    if not is_digest(digest):
        raise SignatureRefusal("payload.critical.image.docker-manifest-digest is not a digest")
    return digest


def _certificate(unsafe_annotations: Mapping[str, str]) -> dict[str, Any]:
    """Returns the verification material of a certificate in PEM."""
    text = unsafe_annotations.get(CERTIFICATE, "")
    if len(text) > LARGEST:
        raise SignatureRefusal(f"a certificate of more than {LARGEST} bytes")
    is_certificate, encoding = record.pem(text.encode())
    if not is_certificate:
        raise SignatureRefusal("a public key where a certificate belongs")
    return {"x509CertificateChain": {"certificates": [{"rawBytes": base64.b64encode(encoding).decode()}]}}


def _log_entry(fields: document.Object) -> dict[str, Any]:
    """Returns an entry of Rekor v1 as a bundle has it (cosign, pkg/cosign/bundle/rekor.go)."""
    entry = fields.only("SignedEntryTimestamp", "Payload").object("Payload")
    entry.only("body", "integratedTime", "logIndex", "logID")
    body = document.parse(entry.blob("body"), LARGEST, "body")
    with about("logID"):
        log_id = bytes.fromhex(entry.text("logID"))
    return {
        "logIndex": entry.integer("logIndex"),
        "logId": {"keyId": base64.b64encode(log_id).decode()},
        "kindVersion": {"kind": body.text("kind"), "version": body.text("apiVersion")},
        "integratedTime": entry.integer("integratedTime"),
        "inclusionPromise": {"signedEntryTimestamp": fields.text("SignedEntryTimestamp")},
        "canonicalizedBody": entry.text("body"),
    }


def _annotation(unsafe_annotations: Mapping[str, str], name: str) -> document.Object:
    return document.parse(unsafe_annotations[name].encode(), LARGEST, name)
