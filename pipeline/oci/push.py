"""Images and build results into a registry (distribution-spec v1.1, "Push" and "Pushing Manifests with Subject").

A node is an OCI artifact: an index with one manifest an architecture. Each manifest has artifact type ARTIFACT, the
empty config, and a layer of type FILE for every output file, named by the annotation TITLE; the record of the build and
its lock lie beside them (docs/reference/registries.md). pipeline.oci.artifact reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from pipeline.incremental import sha256
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import Content, length
from pipeline.oci import http
from pipeline.oci import image as images
from pipeline.oci import manifest as manifests
from pipeline.oci.layer import content_of
from pipeline.oci.manifest import INDEXES, MANIFESTS, Descriptor
from pipeline.oci.progress import Progress, transfer
from pipeline.oci.reference import InvalidReference, Reference, parse
from pipeline.oci.registry import Registry
from pipeline.store import Store

ARTIFACT = "application/vnd.nodekiln.node.v1"
FILE = "application/vnd.nodekiln.file.v1"
RECORD, LOCK = "application/vnd.nodekiln.record.v1+json", "application/vnd.nodekiln.lock.v1+json"
"""Media types of manifest.json and specs/NAME.lock, which are not a node's files, but its origin."""
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
"""Annotation: a node's name on its index, a file's name on its layer."""
CONNECTIONS = 4
"""Blobs that are sent at once."""


def parse_target(reference: str) -> Reference:
    """Parses a reference that can be pushed to. InvalidReference."""
    result = parse(reference)
    if result.transport != "registry":
        raise InvalidReference(f"{reference}: only a registry can be pushed to")
    if result.digest:
        raise InvalidReference(f"{reference}: a push results in a digest and takes none: write {result.name}:TAG")
    return result


class Target:
    """A repository that is pushed to. mount_from: repositories of the same registry that may already have blobs."""

    def __init__(
        self, store: Store, reference: str, mount_from: Sequence[str] = (), progress: Progress = lambda _: None
    ) -> None:
        self.reference = parse_target(reference)
        self.store = store
        self.registry = Registry(self.reference.registry, self.reference.repository)
        self.registry.actions = "pull,push"
        self.registry.more_scopes = tuple(f"repository:{name}:pull" for name in mount_from)
        self._mount_from = mount_from
        self._progress = progress

    def blobs(self, blobs: Iterable[tuple[Digest, Content]]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda blob: self.blob(*blob), dict(blobs).items()))

    def blob(self, digest: Digest, content: Content) -> None:
        """Pushes a blob that the repository does not have: mounts it from another repository, else sends it."""
        if self._request("HEAD", f"blobs/{digest}").status_code == 200:
            return
        for name in self._mount_from:
            query = urlencode({"mount": digest, "from": name})
            if self._request("POST", f"blobs/uploads/?{query}").status_code == 201:
                return
        http.retry(lambda: self._send(digest, content), self.registry.sleep)

    def manifest(self, data: bytes, media_type: str, tag: str = "") -> tuple[Digest, bool]:
        """Pushes a manifest under `tag`, or its digest; returns whether the registry lists referrers, too."""
        digest = Digest.of(data)
        response = self.registry.request("PUT", f"manifests/{tag or digest}", {"Content-Type": media_type}, data)
        self.registry.expect(response, (201,), f"manifest {tag or digest}")
        response.close()
        return digest, "OCI-Subject" in response.headers

    def index(self, data: bytes) -> Digest:
        """Pushes an index under the reference's tag, or `latest`."""
        return self.manifest(data, INDEXES[0], self.reference.tag or "latest")[0]

    def _request(self, method: str, path: str) -> Any:
        response = self.registry.request(method, path, {})
        response.close()
        return response

    def _send(self, digest: Digest, content: Content) -> None:
        upload = self._request("POST", "blobs/uploads/")
        self.registry.expect(upload, (202,), f"upload of {digest}")
        place = urljoin(upload.url, upload.headers.get("Location", ""))
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length(content))}
        with transfer(f"{self.reference}: {digest[:19]}", length(content)) as transferred:
            body = _Body(self.store, content, lambda count: (self._progress(count), transferred(count)))
            response = self.registry.request("PUT", place, headers, body, once=True)
        self.registry.expect(response, (201,), f"upload of {digest}")
        response.close()


def push_image(store: Store, image: Digest, reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Pushes the image `image` (its manifest's digest) as `reference`; returns its digest there."""
    target = Target(store, reference, mount_from)
    return target.manifest(*_image(target, image), target.reference.tag or "latest")[0]


def push_images(store: Store, by_arch: Mapping[str, Digest], reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Pushes images, architecture -> manifest's digest; several under an index. Returns the digest of the whole."""
    if len(by_arch) == 1:
        return push_image(store, next(iter(by_arch.values())), reference, mount_from)
    target, entries = Target(store, reference, mount_from), []
    for architecture, image in sorted(by_arch.items()):
        data, media_type = _image(target, image)
        target.manifest(data, media_type)
        entries.append(Descriptor(media_type, image, len(data)).document() | _platform(architecture))
    return target.index(_index(entries))


class Description(NamedTuple):
    """Build results as an artifact, before they are sent.

    blobs: of its manifests. manifests: architecture -> the bytes of one. index_bytes: those of the index of them.
    """

    blobs: Mapping[Digest, Content]
    manifests: Mapping[str, bytes]
    index_bytes: bytes


def describe_files(
    store: Store,
    files: Mapping[str, Mapping[str, Content]],
    annotations: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Description:
    """Returns build results, architecture -> file name -> content, as an artifact; nothing is sent.

    types: file name -> media type, by default FILE. The same results are the same artifact wherever they are pushed to.
    """
    empty = store.put(b"{}")
    blobs: dict[Digest, Content] = {empty: content_of(store, empty)}
    manifests, entries = {}, []
    notes = {"annotations": dict(annotations)} if annotations else {}
    for architecture, outputs in sorted(files.items()):
        named = {name: (sha256(store, content), content) for name, content in sorted(outputs.items())}
        blobs |= dict(named.values())
        layers = [
            Descriptor(types.get(name, FILE) if types else FILE, digest, length(content)).document()
            | {"annotations": {TITLE: name}}
            for name, (digest, content) in named.items()
        ]
        manifests[architecture] = data = _manifest(ARTIFACT, layers, **notes)
        entries.append(_entry(ARTIFACT, data) | _platform(architecture))
    return Description(blobs, manifests, _index(entries, artifactType=ARTIFACT, **notes))


def send(store: Store, description: Description, reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Pushes what `describe_files` gave; returns the digest of its index."""
    target = Target(store, reference, mount_from)
    target.blobs(description.blobs.items())
    for data in description.manifests.values():
        target.manifest(data, MANIFESTS[0])
    return target.index(description.index_bytes)


def push_index(store: Store, index: Digest, reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Pushes the index `index`, of images and artifacts in the store, with all of them; returns its digest."""
    target, data = Target(store, reference, mount_from), store.get(index)
    for entry in manifests.decode(data, f"index {index}")["manifests"]:
        target.manifest(*_image(target, Digest.parse(entry["digest"])))
    return target.index(data)


def _image(target: Target, image: Digest) -> tuple[bytes, str]:
    """Pushes the blobs of an image; returns its manifest, which is not pushed yet, and its media type."""
    document = images.image_manifest(target.store, image)
    target.blobs((blob.digest, content_of(target.store, blob.digest)) for blob in (document.config, *document.layers))
    data = target.store.get(image)
    return data, json.loads(data).get("mediaType") or MANIFESTS[0]


def _platform(architecture: str) -> dict[str, Any]:
    platform = manifests.parse_platform(architecture)
    return {"platform": {name: value for name, value in platform._asdict().items() if value}}


def artifact(
    target: Target, artifact_type: str, layers: Sequence[Mapping[str, Any]], **fields: Any
) -> tuple[dict[str, Any], bool]:
    """Pushes the manifest of an artifact, whose layers are there.

    Returns its entry in an index, and whether the registry lists it as a referrer.
    """
    empty = target.store.put(b"{}")
    target.blob(empty, content_of(target.store, empty))
    data = _manifest(artifact_type, layers, **fields)
    return _entry(artifact_type, data), target.manifest(data, MANIFESTS[0])[1]


def _manifest(artifact_type: str, layers: Sequence[Mapping[str, Any]], **fields: Any) -> bytes:
    """Returns the manifest of an artifact, which has the empty config."""
    document = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "artifactType": artifact_type}
    config = Descriptor(EMPTY, Digest.of(b"{}"), 2).document()
    return canonical_json({**document, "config": config, "layers": layers, **fields})


def _entry(artifact_type: str, manifest: bytes) -> dict[str, Any]:
    """Returns the entry that an index has for the manifest of an artifact."""
    return Descriptor(MANIFESTS[0], Digest.of(manifest), len(manifest)).document() | {"artifactType": artifact_type}


def _index(entries: Sequence[Mapping[str, Any]], **fields: Any) -> bytes:
    return canonical_json({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries, **fields})


class _Body:
    """Content as the body of a request, read while it is sent."""

    def __init__(self, store: Store, content: Content, progress: Progress) -> None:
        self._chunks = store.read(content)
        self._rest = b""
        self._length = length(content)
        self._progress = progress

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """Returns up to `size` bytes; b"" at the end."""
        data = self._rest or next(self._chunks, b"")
        if size >= 0:
            data, self._rest = data[:size], data[size:]
        self._progress(len(data))
        return data
