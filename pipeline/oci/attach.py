"""Artifacts about an image, such as a signature, an SBOM, provenance: pushed beside it (distribution-spec v1.1).

An artifact names the image as its `subject`. In a registry without a list of referrers, the index under the tag
sha256-HEX lists it (the specification's "Referrers Tag Schema"). Attaching the same again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.model.digest import Digest, canonical_json
from pipeline.oci import manifest as manifests
from pipeline.oci import referrers
from pipeline.oci.error import NotFound
from pipeline.oci.layer import content_of
from pipeline.oci.manifest import INDEXES, MANIFESTS, Descriptor
from pipeline.oci.push import TITLE, Target, artifact
from pipeline.store import Store
from pipeline.trust import simplesigning

CONFIG = "application/vnd.oci.image.config.v1+json"


def attach(
    store: Store,
    subject: Digest,
    reference: str,
    media_type: str,
    data: bytes,
    annotations: Mapping[str, str] | None = None,
    title: str = "",
) -> Digest:
    """Pushes `data` as an artifact about the manifest or index `subject` of the same repository; returns its digest.

    media_type: of the data, and of the artifact. annotations: of its manifest, and of its entry in lists of referrers.
    title: name of the file that the data is, for tools that write it.
    """
    target = Target(store, reference)
    described, subject_type = target.registry.manifest(subject)
    notes = {"annotations": dict(annotations)} if annotations else {}
    about = Descriptor(subject_type, subject, len(described)).document()
    layer = _blob(target, media_type, data) | ({"annotations": {TITLE: title}} if title else {})
    entry, is_listed = artifact(target, media_type, [layer], subject=about, **notes)
    if not is_listed:
        _list_by_tag(target, subject, entry | notes)
    digest: Digest = entry["digest"]
    return digest


def attach_simple_signature(store: Store, subject: Digest, reference: str, payload: bytes, signature: str) -> Digest:
    """Adds a simple signature (base64) to those under cosign's tag of `subject`; returns the digest of their manifest.

    cosign, SIGNATURE_SPEC.md: the manifest of an image, with a layer for each signature.
    """
    target, tag = Target(store, reference), f"{referrers.tag(subject)}.sig"
    layer = _blob(target, simplesigning.MEDIA_TYPE, payload)
    layers = _known(target, tag, "layers")
    layer["annotations"] = {simplesigning.SIGNATURE: signature}
    if layer not in layers:
        layers.append(layer)
    root = {"type": "layers", "diff_ids": [each["digest"] for each in layers]}
    config = canonical_json({"architecture": "", "os": "", "config": {}, "rootfs": root})
    document = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": _blob(target, CONFIG, config)}
    return target.manifest(canonical_json({**document, "layers": layers}), MANIFESTS[0], tag)[0]


def _blob(target: Target, media_type: str, data: bytes) -> dict[str, Any]:
    """Pushes a blob; returns its descriptor."""
    digest = target.store.put(data)
    target.blob(digest, content_of(target.store, digest))
    return Descriptor(media_type, digest, len(data)).document()


def _list_by_tag(target: Target, subject: Digest, entry: Mapping[str, Any]) -> None:
    """Adds a referrer to the index under its subject's tag. Concurrent additions may be lost, as the spec warns."""
    tag = referrers.tag(subject)
    entries = _known(target, tag, "manifests")
    if all(other["digest"] != entry["digest"] for other in entries):
        index = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [*entries, entry]}
        target.manifest(canonical_json(index), INDEXES[0], tag)


def _known(target: Target, tag: str, field: str) -> list[dict[str, Any]]:
    """Returns a list of the manifest or index that a tag names now; [] if it names none."""
    try:
        data, media_type = target.registry.manifest(tag)
    except NotFound:
        return []
    manifests.parse(data, f"{target.registry}:{tag}", media_type)
    entries: list[dict[str, Any]] = json.loads(data).get(field, [])
    return entries
