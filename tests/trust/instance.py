"""An instance of sigstore of a test's own: an authority, a log of certificates, a log of signatures, and its root."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.ondisk import der
from tests.trust import notary
from tests.trust.notary import AUTHORITY, START, TIME, issue, new_key

IDENTITY, ISSUER = "https://example.com/release.yml@refs/tags/v1", "https://issuer.example.com"
CA = issue("CN=fulcio", None, *AUTHORITY)
SIGNATURES, CERTIFICATES = new_key("P-256", -1), new_key("P-256", -2)
"""Keys of the two logs."""
SCT, ISSUER_EXTENSION = "1.3.6.1.4.1.11129.2.4.2", "1.3.6.1.4.1.57264.1.8"


def public(key: Any, encoding: Encoding = Encoding.DER) -> bytes:
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def trusted_root() -> bytes:
    """Returns the root as trusted_root.json."""

    def log(key: Any) -> dict[str, Any]:
        digest = text(hashlib.sha256(public(key)).digest())
        own = {"rawBytes": text(public(key)), "validFor": {"start": "2020-01-01T00:00:00Z"}}
        return {"baseUrl": "https://log.example.com", "publicKey": own, "logId": {"keyId": digest}}

    chain = {"certificates": [{"rawBytes": text(CA.chain[0])}]}
    authority = {"certChain": chain, "validFor": {"start": "2020-01-01T00:00:00Z"}}
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [log(SIGNATURES)], "ctlogs": [log(CERTIFICATES)], "certificateAuthorities": [authority],
    }).encode()  # fmt: skip


def certificate(key: Any, identity: str = IDENTITY, *, with_sct: bool = True) -> x509.Certificate:
    """Returns a certificate for `key`, valid for ten minutes, with the promise of the log (RFC 6962, 3.2)."""
    builder = x509.CertificateBuilder(public_key=key.public_key(), serial_number=x509.random_serial_number())
    builder = builder.subject_name(x509.Name([])).issuer_name(CA.certificate.subject)
    times = [datetime.fromtimestamp(each, UTC) for each in (START, START + 1600)]
    builder = builder.not_valid_before(times[0]).not_valid_after(times[1])
    issuer = der.encode(0x0C, ISSUER.encode())
    for value, critical in (
        notary.usage("digital_signature"),
        notary.extended("CODE_SIGNING"),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(ISSUER_EXTENSION), issuer), False),
    ):
        builder = builder.add_extension(value, critical)
    tbs = builder.sign(CA.key, hashes.SHA256()).tbs_certificate_bytes
    if with_sct:
        stamps = x509.UnrecognizedExtension(x509.ObjectIdentifier(SCT), der.encode(der.OCTET_STRING, _stamps(tbs)))
        builder = builder.add_extension(stamps, critical=False)
    return builder.sign(CA.key, hashes.SHA256())


def _stamps(tbs: bytes) -> bytes:
    """Returns a SignedCertificateTimestampList with one time stamp (RFC 6962, 3.3)."""
    time = (TIME * 1000).to_bytes(8, "big")
    signed = (
        b"\0\0" + time + b"\0\1" + hashlib.sha256(public(CA.key)).digest() + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
    )
    signature = CERTIFICATES.sign(signed, ec.ECDSA(hashes.SHA256()))
    log_id = hashlib.sha256(public(CERTIFICATES)).digest()
    stamp = b"\0" + log_id + time + b"\0\0\4\3" + len(signature).to_bytes(2, "big") + signature
    return (len(stamp) + 2).to_bytes(2, "big") + len(stamp).to_bytes(2, "big") + stamp


def entry(data: bytes, signature: bytes, verifier: bytes, time: int = TIME, log: Any = SIGNATURES) -> dict[str, Any]:
    """Returns Rekor's entry hashedrekord 0.0.1, as cosign's annotation has it. verifier: certificate or key, in PEM."""
    digest = {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
    spec = {
        "data": {"hash": digest},
        "signature": {"content": text(signature), "publicKey": {"content": text(verifier)}},
    }
    body = text(json.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}).encode())
    log_id = hashlib.sha256(public(log)).hexdigest()
    payload = {"body": body, "integratedTime": time, "logID": log_id, "logIndex": 7}
    signed = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    return {"SignedEntryTimestamp": text(log.sign(signed, ec.ECDSA(hashes.SHA256()))), "Payload": payload}
