"""Tag: a name for an image in the store, which is an OCI layout too (image-spec, image-layout.md), so that other tools
find it there: `skopeo inspect oci:cache:nodekiln/sshd:…`.

A name stands for an index with one manifest for each platform, as registries have it.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.model.digest import Digest, canonical_json
from pipeline.store import Store

INDEX = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

Descriptor = dict[str, Any]


def describe(store: Store, media_type: str, digest: Digest, **more: Any) -> Descriptor:
    """The descriptor of a blob of the store (image-spec, descriptor.md)."""
    return {"mediaType": media_type, "digest": digest, "size": store.size(digest), **more}


def tag(store: Store, name: str, image: Descriptor) -> None:
    """Let `name` stand for `image`, whose descriptor has a `platform`, beside those of other platforms."""
    place = store.root / "index.json"
    with store.lock("index.json"):
        entries = _entries(place.read_bytes()) if place.exists() else []
        named = {each.get("annotations", {}).get(REF_NAME): each for each in entries}
        platforms = [image]
        if name in named and store.has(Digest.parse(named[name]["digest"])):
            others = _entries(store.get(Digest.parse(named[name]["digest"])))
            platforms += [each for each in others if each["platform"] != image["platform"]]
        index = store.put(_index(platforms))
        named[name] = describe(store, INDEX, index, annotations={REF_NAME: name})
        store.note(place, _index(list(named.values())))


def _entries(unsafe_document: bytes) -> list[Descriptor]:
    """The descriptors of an index; none of one that was damaged: names come back when they are given again."""
    try:
        entries = json.loads(unsafe_document)["manifests"]
        return [each for each in entries if Digest.parse(each["digest"]) and type(each.get("annotations", {})) is dict]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _index(entries: list[Descriptor]) -> bytes:
    entries = sorted(entries, key=canonical_json)
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
