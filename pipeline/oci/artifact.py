"""Artifact: a node that was pushed (pipeline.oci.push), found again in a registry or layout, and fetched file by file.

image-spec v1.1, manifest.md, "Guidelines for Artifact Usage". A file's name is what its layer's title says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.model.digest import Digest
from pipeline.oci import fetch
from pipeline.oci import manifest as manifests
from pipeline.oci.error import NotFound, Refusal
from pipeline.oci.manifest import Descriptor, Manifest
from pipeline.oci.push import ARTIFACT, TITLE
from pipeline.oci.reference import parse
from pipeline.oci.source import Source, sources
from pipeline.store import Store

_NAME = re.compile(r"(?!\.)[^/\0-\x1f\x7f]{1,200}")
"""A file's name: no path, nothing hidden, short enough for every file system."""


class NodeArtifact(NamedTuple):
    """A pushed node.

    digest: of its index (or manifest). files: architecture ("" where nothing says which) -> file name -> its blob.
    """

    reference: str
    digest: Digest
    sources: Sequence[Source]
    files: Mapping[str, Mapping[str, Descriptor]]

    def fetch(self, store: Store, arch: str, name: str) -> Path:
        """Where the file lies, in the store, once it is fetched. NotFound if the node has no such file."""
        blob = self._blob(arch, name)
        fetch.blob(store, self.sources, blob, f"{self.reference}: {name}")
        return store.right(blob.digest)

    def small(self, store: Store, arch: str, name: str, limit: int) -> bytes:
        """The bytes of a file, which is in the store then. Refusal if they are more than `limit`."""
        blob = self._blob(arch, name)
        if blob.size > limit:
            raise Refusal(f"{self.reference}: {name} claims {blob.size} bytes; {limit} is the limit")
        self.fetch(store, arch, name)
        return store.get(blob.digest)

    def _blob(self, arch: str, name: str) -> Descriptor:
        if name not in self.files.get(arch, {}):
            raise NotFound(f"{self.reference}: no {name} for {arch or 'any architecture'} was pushed")
        return self.files[arch][name]


def find(reference: str) -> NodeArtifact | None:
    """The node that `reference` names; None if that is something else (an image).

    ImageError if nothing can be had there; InvalidReference if it names nothing.
    """
    image = parse(reference)
    places = sources(image)
    top = fetch.manifest(places, image.wanted, str(image))
    if isinstance(top.document, Manifest):
        return NodeArtifact(str(image), top.digest, places, {"": _files(top, str(image))}) if _is_node(top) else None
    files = {}
    for entry in top.document:
        arch = "/".join(filter(None, entry.platform[1:])) if entry.platform else ""
        fetched = fetch.manifest(places, entry.digest, f"{image} for {arch}")
        if not _is_node(fetched):  # what carried an index from place to place may have lost what it said of itself
            return None
        files[arch] = _files(fetched, f"{image} for {arch}")
    return NodeArtifact(str(image), top.digest, places, files)


def _is_node(fetched: fetch.FetchedManifest) -> bool:
    return manifests.decode(fetched.data, str(fetched.source)).get("artifactType") == ARTIFACT


def _files(fetched: fetch.FetchedManifest, what: str) -> dict[str, Descriptor]:
    """The blobs of a manifest by name. Refusal if it is an index, or one is named like no file, or like another."""
    if not isinstance(fetched.document, Manifest):
        raise Refusal(f"{what}: an index that calls itself a node's files")
    files: dict[str, Descriptor] = {}
    unsafe_layers: list[Any] = manifests.decode(fetched.data, what)["layers"]
    for unsafe_layer, blob in zip(unsafe_layers, fetched.document.layers, strict=True):
        unsafe_notes = unsafe_layer.get("annotations")
        unsafe_name = unsafe_notes.get(TITLE) if isinstance(unsafe_notes, dict) else None
        if not isinstance(unsafe_name, str) or not _NAME.fullmatch(unsafe_name) or unsafe_name in files:
            raise Refusal(f"{what}: {blob.digest} has the name {str(unsafe_name)[:80]!r}")
        files[unsafe_name] = blob
    return files
