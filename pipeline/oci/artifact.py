"""A node in a registry or layout, pushed there by pipeline.oci.push, fetched file by file.

image-spec v1.1, manifest.md, "Guidelines for Artifact Usage". The title of a layer is the name of its file.
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
"""A file's name: no path, not hidden, short enough for every file system."""


class NodeArtifact(NamedTuple):
    """A pushed node.

    digest: of its index (or manifest). files: architecture ("" if the node does not state one) -> file name -> blob.
    manifests: the same architectures -> digest of the manifest.
    """

    reference: str
    digest: Digest
    sources: Sequence[Source]
    files: Mapping[str, Mapping[str, Descriptor]]
    manifests: Mapping[str, Digest]

    def fetch(self, store: Store, arch: str, name: str) -> Path:
        """Fetches a file into the store and returns its path there. NotFound."""
        blob = self._blob(arch, name)
        fetch.blob(store, self.sources, blob, f"{self.reference}: {name}")
        return store.right(blob.digest)

    def read(self, store: Store, arch: str, name: str, limit: int) -> bytes:
        """Fetches a file into the store and returns its content. NotFound; Refusal beyond `limit` bytes."""
        blob = self._blob(arch, name)
        fetch.check_limit(blob, limit, f"{self.reference}: {name}")
        self.fetch(store, arch, name)
        return store.get(blob.digest)

    def _blob(self, arch: str, name: str) -> Descriptor:
        if name not in self.files.get(arch, {}):
            raise NotFound(f"{self.reference}: no {name} for {arch or 'any architecture'} was pushed")
        return self.files[arch][name]


def find(reference: str) -> NodeArtifact | None:
    """Returns the node that `reference` names; None for anything else, such as an image. ImageError."""
    image = parse(reference)
    places = sources(image)
    top = fetch.manifest(places, image.wanted, str(image))
    if isinstance(top.document, Manifest):
        if not _is_node(top):
            return None
        return NodeArtifact(str(image), top.digest, places, {"": _files(top, str(image))}, {"": top.digest})
    files, digests = {}, {}
    for entry in top.document:
        arch = "/".join(filter(None, entry.platform[1:])) if entry.platform else ""
        manifest = fetch.manifest(places, entry.digest, f"{image} for {arch}")
        if not _is_node(manifest):  # tools that copy an index may drop its own artifact type
            return None
        files[arch] = _files(manifest, f"{image} for {arch}")
        digests[arch] = manifest.digest
    return NodeArtifact(str(image), top.digest, places, files, digests)


def _is_node(manifest: fetch.FetchedManifest) -> bool:
    return manifests.decode(manifest.data, str(manifest.source)).get("artifactType") == ARTIFACT


def _files(manifest: fetch.FetchedManifest, subject: str) -> dict[str, Descriptor]:
    """Returns the blobs of a manifest by file name. Refusal for an index, an invalid name or a duplicate."""
    if not isinstance(manifest.document, Manifest):
        raise Refusal(f"{subject}: an index with the artifact type of a node's files")
    files: dict[str, Descriptor] = {}
    unsafe_layers: list[Any] = manifests.decode(manifest.data, subject)["layers"]
    for unsafe_layer, blob in zip(unsafe_layers, manifest.document.layers, strict=True):
        unsafe_annotations = unsafe_layer.get("annotations")
        unsafe_name = unsafe_annotations.get(TITLE) if isinstance(unsafe_annotations, dict) else None
        if not isinstance(unsafe_name, str) or not _NAME.fullmatch(unsafe_name) or unsafe_name in files:
            raise Refusal(f"{subject}: {blob.digest} has the name {str(unsafe_name)[:80]!r}")
        files[unsafe_name] = blob
    return files
