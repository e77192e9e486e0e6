"""Signatures made for tests, with keys of their own: bundles by managed keys, and the layouts that hold them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.trust import evidence
from tests.oci import craft
from tests.trust import instance
from tests.trust.notary import new_key

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
EMPTY = b"{}"


class Key:
    """A key pair on P-256, as `cosign generate-key-pair` makes them."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def pem(self) -> str:
        """The public key."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(encoding, form).decode()

    def annotations(self, data: bytes) -> dict[str, str]:
        """Annotations of a signature of a payload by this key."""
        return {"dev.cosignproject.cosign/signature": _text(self.private.sign(data, ec.ECDSA(hashes.SHA256())))}

    def bundle(self, digest: str, predicate_type: str = SIGN) -> bytes:
        """A bundle, version 0.3, with a statement about `digest`."""
        subject = [{"name": "", "digest": {"sha256": digest.removeprefix("sha256:")}}]
        statement: dict[str, Any] = {"_type": "https://in-toto.io/Statement/v1", "subject": subject}
        payload = json.dumps({**statement, "predicateType": predicate_type, "predicate": {}}).encode()
        kind = "application/vnd.in-toto+json"
        signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
        envelope = {"payload": _text(payload), "payloadType": kind, "signatures": [{"sig": _text(signature)}]}
        material = {"publicKey": {"hint": ""}}
        return json.dumps(
            {"mediaType": evidence.BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
        ).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def descriptor(data: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": craft.digest(data), "size": len(data), **fields}


def referrer(subject: str, signature: bytes, media_type: str = evidence.BUNDLE) -> bytes:
    """The manifest of a signature of `subject`."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": media_type,
        "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(signature, media_type)],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": 1},
    }
    return json.dumps(manifest).encode()


def listing(*referrers: bytes) -> bytes:
    """The index under the fallback tag, as cosign writes it: with an artifact type that is none."""
    empty = "application/vnd.oci.empty.v1+json"
    entries = [descriptor(each, MANIFEST, artifactType=empty) for each in referrers]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def image(folder: Path, name: str = "1", content: str = "x", tag: bool = True) -> tuple[str, str]:
    """Writes a layout with an image for amd64; digests of its index, which has the name, and of its manifest."""
    manifest = craft.image(folder, [craft.archive(craft.entry(content))], name=f"amd64-{content}")
    size = (folder / "blobs" / "sha256" / manifest[7:]).stat().st_size
    entry = {"mediaType": MANIFEST, "digest": manifest, "size": size}
    entry["platform"] = {"os": "linux", "architecture": "amd64"}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    place = folder / "index.json"
    if tag and place.exists():
        listed = json.loads(place.read_text())
        names = "org.opencontainers.image.ref.name"
        listed["manifests"] = [each for each in listed["manifests"] if each["annotations"][names] != name]
        place.write_text(json.dumps(listed))
    return craft.tagged(folder, index, name, INDEX), manifest


def platforms(folder: Path, *arches: str) -> tuple[str, dict[str, str]]:
    """Writes a layout with an image for several architectures; digests of its index, `1`, and of the manifests."""
    manifests, entries = {}, []
    for arch in arches:
        layer = craft.archive(craft.entry(arch))
        manifests[arch] = craft.image(folder, [layer], name=arch, config={"architecture": arch})
        size = (folder / "blobs" / "sha256" / manifests[arch][7:]).stat().st_size
        entry = {"mediaType": MANIFEST, "digest": manifests[arch], "size": size}
        entries.append({**entry, "platform": {"os": "linux", "architecture": arch}})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return craft.tagged(folder, index, "1", INDEX), manifests


def sign(folder: Path, subject: str, signature: bytes, media_type: str = evidence.BUNDLE) -> None:
    """Adds a signature to a layout."""
    for data in (EMPTY, signature):
        craft.put(folder, data)
    craft.tagged(folder, referrer(subject, signature, media_type), "")


def legacy(layers: Sequence[tuple[bytes, Mapping[str, str]]]) -> bytes:
    """The manifest of cosign's tag `.sig`. layers: payloads with their annotations."""
    described = [descriptor(data, evidence.SIMPLE_SIGNING, annotations=dict(each)) for data, each in layers]
    config = descriptor(EMPTY, "application/vnd.oci.image.config.v1+json")
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}).encode()


def sign_legacy(folder: Path, subject: str, payload: bytes, annotations: Mapping[str, str]) -> None:
    """Adds a signature to a layout under cosign's tag."""
    for data in (EMPTY, payload):
        craft.put(folder, data)
    craft.tagged(folder, legacy([(payload, annotations)]), f"{subject.replace(':', '-')}.sig")


def payload(digest: str, name: str = "ghcr.io/acme/app") -> bytes:
    """A payload of simple signing about `digest`. name: the image's, as the signer had it."""
    image, identity = {"docker-manifest-digest": digest}, {"docker-reference": name}
    critical = {"identity": identity, "image": image, "type": "cosign container image signature"}
    return json.dumps({"critical": critical, "optional": None}).encode()


def keyless(data: bytes, identity: str = instance.IDENTITY) -> dict[str, str]:
    """Annotations of a keyless signature of a payload, by the instance of tests."""
    key = new_key("P-256", 1)
    certificate = instance.certificate(key, identity).public_bytes(serialization.Encoding.PEM)
    signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    entry = instance.entry(data, signature, certificate)
    names = ("dev.cosignproject.cosign/signature", "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle")
    return dict(zip(names, (_text(signature), certificate.decode(), json.dumps(entry)), strict=True))
