"""Names for images in the store, which is an OCI layout too (image-spec, image-layout.md), so that other tools find
them: `skopeo inspect oci:cache:nodekiln/sshd:…`.

As in registries, a name stands for an index with one manifest for each platform.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.model.digest import Digest, canonical_json
from pipeline.oci.manifest import INDEXES, REF_NAME
from pipeline.store import Store

Descriptor = dict[str, Any]


def describe(store: Store, media_type: str, digest: Digest, **more: Any) -> Descriptor:
    """Returns the descriptor of a blob of the store (image-spec, descriptor.md)."""
    return {"mediaType": media_type, "digest": digest, "size": store.size(digest), **more}


def tag(store: Store, name: str, image: Descriptor) -> None:
    """Makes `name` stand for `image`, whose descriptor has a `platform`, beside the images of other platforms."""
    path = store.root / "index.json"
    with store.lock("index.json"):
        entries = _entries(path.read_bytes()) if path.exists() else []
        by_name = {entry.get("annotations", {}).get(REF_NAME): entry for entry in entries}
        platforms = [image]
        if name in by_name and store.has(Digest.parse(by_name[name]["digest"])):
            others = _entries(store.get(Digest.parse(by_name[name]["digest"])))
            platforms += [other for other in others if other["platform"] != image["platform"]]
        index = store.put(_index(platforms))
        by_name[name] = describe(store, INDEXES[0], index, annotations={REF_NAME: name})
        store.note(path, _index(list(by_name.values())))


def _entries(unsafe_document: bytes) -> list[Descriptor]:
    """Returns the descriptors of an index; none of a damaged one: its names come back with the next builds."""
    try:
        entries = json.loads(unsafe_document)["manifests"]
        return [each for each in entries if Digest.parse(each["digest"]) and type(each.get("annotations", {})) is dict]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _index(entries: list[Descriptor]) -> bytes:
    entries = sorted(entries, key=canonical_json)
    return canonical_json({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries})
