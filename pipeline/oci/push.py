"""Push: images and build results into a registry (distribution-spec v1.1, "Push" and "Pushing Manifests with Subject").

A node is pushed as an OCI artifact: an index with one manifest an architecture; each manifest is of artifact type
ARTIFACT, has the empty config, and a layer of type FILE for every output file, its name in the annotation
org.opencontainers.image.title; the record of the build and the lock that it was made from lie beside them
(docs/registries.md). pipeline.oci.artifact reads all that back.

What belongs to an image (an SBOM, a signature) names it as its `subject`; where a registry does not list referrers, the
index under the tag sha256-<hex> does (the specification's "Referrers Tag Schema").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urljoin

from pipeline.incremental import sha256
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import Content, Slice, length
from pipeline.oci import http
from pipeline.oci import image as images
from pipeline.oci import manifest as manifests
from pipeline.oci.error import NotFound, Unreachable
from pipeline.oci.http import TransientError
from pipeline.oci.manifest import INDEXES, MANIFESTS, Descriptor
from pipeline.oci.progress import transfer
from pipeline.oci.reference import InvalidReference, Reference, parse
from pipeline.oci.registry import Registry
from pipeline.store import Store

ARTIFACT = "application/vnd.nodekiln.node.v1"
FILE = "application/vnd.nodekiln.file.v1"
RECORD, LOCK = "application/vnd.nodekiln.record.v1+json", "application/vnd.nodekiln.lock.v1+json"
"""manifest.json, and specs/NAME.lock: not a node's files, but how it was made."""
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
"""Annotation: a node's name on its index, a file's name on its layer."""
AT_ONCE = 4
"""Blobs that are sent at a time."""

Progress = Callable[[int], object]


def checked(reference: str) -> Reference:
    """`reference`, if it is one that can be pushed to; InvalidReference otherwise."""
    found = parse(reference)
    if found.transport != "registry":
        raise InvalidReference(f"{reference}: only a registry can be pushed to")
    if found.digest:
        raise InvalidReference(f"{reference}: a push gives a digest, it takes none: write {found.name}:TAG")
    return found


class Target:
    """A repository that is pushed to. `mount_from`: repositories of the same registry that may have blobs already."""

    def __init__(
        self, store: Store, reference: str, mount_from: Sequence[str] = (), progress: Progress = lambda _: None
    ) -> None:
        self.reference = checked(reference)
        self.store = store
        self.registry = Registry(self.reference.registry, self.reference.repository)
        self.registry.actions = "pull,push"
        self.registry.more_scopes = tuple(f"repository:{name}:pull" for name in mount_from)
        self._mount_from = mount_from
        self._progress = progress

    def blob(self, digest: Digest, content: Content) -> None:
        """Bring a blob there, unless it is: asked for first, then mounted from another repository, then sent."""
        if self._ask("HEAD", f"blobs/{digest}").status_code == 200:
            return
        for name in self._mount_from:
            query = urlencode({"mount": digest, "from": name})
            if self._ask("POST", f"blobs/uploads/?{query}").status_code == 201:
                return
        for attempt in range(http.ATTEMPTS):
            try:
                self._send(digest, content)
                return
            except TransientError as error:
                self.registry.sleep(http.pause(attempt, error.wait))
        raise Unreachable(f"{self.registry}: {digest} could not be sent in {http.ATTEMPTS} attempts")

    def manifest(self, data: bytes, media_type: str, tag: str = "") -> tuple[Digest, bool]:
        """Put a manifest under its digest, or `tag`; whether the registry lists it as a referrer of its subject."""
        digest = Digest.of(data)
        headers = {"Content-Type": media_type}
        response = self.registry.request("PUT", f"manifests/{tag or digest}", headers, data)
        self.registry.expect(response, (201,), f"manifest {tag or digest}")
        response.close()
        return digest, "OCI-Subject" in response.headers

    def _ask(self, method: str, path: str) -> Any:
        response = self.registry.request(method, path, {})
        response.close()
        return response

    def _send(self, digest: Digest, content: Content) -> None:
        begun = self._ask("POST", "blobs/uploads/")
        self.registry.expect(begun, (202,), f"upload of {digest}")
        place = urljoin(begun.url, begun.headers.get("Location", ""))
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length(content))}
        with transfer(f"{self.reference}: {digest[:19]}", length(content)) as seen:
            body = _Body(self.store, content, lambda count: (self._progress(count), seen(count)))
            response = self.registry.request("PUT", place, headers, body, once=True)
        self.registry.expect(response, (201,), f"upload of {digest}")
        response.close()


def push_image(store: Store, image: Digest, reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Push the image `image` (its manifest's digest) of the store as `reference`; its digest there."""
    target = Target(store, reference, mount_from)
    return target.manifest(*_image(target, image), target.reference.tag or "latest")[0]


def push_images(store: Store, found: Mapping[str, Digest], reference: str, mount_from: Sequence[str] = ()) -> Digest:
    """Push images, architecture -> manifest's digest, as `reference`: an index if there are several; its digest."""
    if len(found) == 1:
        return push_image(store, next(iter(found.values())), reference, mount_from)
    target, entries = Target(store, reference, mount_from), []
    for architecture, image in sorted(found.items()):
        data, media_type = _image(target, image)
        target.manifest(data, media_type)
        entries.append({"mediaType": media_type, "digest": image, "size": len(data), **_platform(architecture)})
    index = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries}
    return target.manifest(canonical_json(index), INDEXES[0], target.reference.tag or "latest")[0]


def push_files(
    store: Store,
    files: Mapping[str, Mapping[str, Content]],
    reference: str,
    annotations: Mapping[str, str] | None = None,
    mount_from: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
) -> Digest:
    """Push build results, architecture -> file name -> content, as an artifact; the digest of its index.

    types: media types of files that are no results.
    """
    target, entries = Target(store, reference, mount_from), []
    for architecture, outputs in sorted(files.items()):
        data = _artifact(target, ARTIFACT, outputs, annotations or {}, None, types or {})
        digest, _ = target.manifest(data, MANIFESTS[0])
        entry = {"mediaType": MANIFESTS[0], "digest": digest, "size": len(data), "artifactType": ARTIFACT}
        entries.append(entry | _platform(architecture))
    index = {"schemaVersion": 2, "mediaType": INDEXES[0], "artifactType": ARTIFACT, "manifests": entries}
    index |= {"annotations": dict(annotations)} if annotations else {}
    return target.manifest(canonical_json(index), INDEXES[0], target.reference.tag or "latest")[0]


def attach(store: Store, subject: Digest, reference: str, artifact_type: str, files: Mapping[str, Content]) -> Digest:
    """Push `files` as an artifact that belongs to the manifest or index `subject` of the same repository."""
    target = Target(store, reference)
    response = target.registry.request("GET", f"manifests/{subject}", {"Accept": ", ".join(MANIFESTS + INDEXES)})
    target.registry.expect(response, (200,), subject)
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    data = http.small(response, manifests.MANIFEST_LIMIT, str(target.registry))
    described = Descriptor(kind, subject, len(data))
    artifact = _artifact(target, artifact_type, files, {}, described)
    digest, listed = target.manifest(artifact, MANIFESTS[0])
    if not listed:
        _list_by_tag(target, subject, digest, len(artifact), artifact_type)
    return digest


def _image(target: Target, image: Digest) -> tuple[bytes, str]:
    """Send the blobs of an image; its manifest, which is not sent yet, and that one's media type."""
    document = images.image_manifest(target.store, image)
    blobs = (document.config, *document.layers)
    _blobs(target, [(blob.digest, _whole(target.store, blob.digest)) for blob in blobs])
    data = target.store.get(image)
    return data, json.loads(data).get("mediaType") or MANIFESTS[0]


def _platform(architecture: str) -> dict[str, Any]:
    platform = manifests.wanted(architecture)
    return {"platform": {name: value for name, value in platform._asdict().items() if value}}


def _artifact(
    target: Target, kind: str, files: Mapping[str, Content], annotations: Mapping[str, str], subject: Descriptor | None,
    types: Mapping[str, str] | None = None,
) -> bytes:  # fmt: skip
    """Send the blobs of an artifact; its manifest, which is not sent yet."""
    empty = target.store.put(b"{}")
    named = {name: (sha256(target.store, content), content) for name, content in sorted(files.items())}
    _blobs(target, [(empty, _whole(target.store, empty)), *named.values()])
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "artifactType": kind,
        "config": {"mediaType": EMPTY, "digest": empty, "size": 2},
        "layers": [
            {
                "mediaType": (types or {}).get(name, FILE),
                "digest": digest,
                "size": length(content),
                "annotations": {TITLE: name},
            }
            for name, (digest, content) in named.items()
        ],
    }
    document |= {"annotations": dict(annotations)} if annotations else {}
    document |= {"subject": subject.document()} if subject else {}
    return canonical_json(document)


def _list_by_tag(target: Target, subject: Digest, digest: Digest, size: int, kind: str) -> None:
    """Add a referrer to the index under its subject's tag. Two at once may lose one; the specification knows."""
    tag = f"{subject.algorithm}-{subject.hex}"[:128]
    try:
        data, media_type = target.registry.manifest(tag)
        manifests.parse(data, f"{target.registry}:{tag}", media_type)
        index = json.loads(data)
    except NotFound:
        index = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": []}
    if all(entry["digest"] != digest for entry in index["manifests"]):
        entry = {"mediaType": MANIFESTS[0], "digest": digest, "size": size, "artifactType": kind}
        index["manifests"].append(entry)
        target.manifest(canonical_json(index), INDEXES[0], tag)


def _blobs(target: Target, blobs: Iterable[tuple[Digest, Content]]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda pair: target.blob(*pair), dict(blobs).items()))


def _whole(store: Store, blob: Digest) -> Content:
    return (Slice(blob, 0, store.size(blob)),)


class _Body:
    """Content as the body of one request, read as it is sent."""

    def __init__(self, store: Store, content: Content, progress: Progress) -> None:
        self._chunks = store.read(content)
        self._rest = b""
        self._length = length(content)
        self._progress = progress

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        data = self._rest or next(self._chunks, b"")
        if size >= 0:
            data, self._rest = data[:size], data[size:]
        self._progress(len(data))
        return data
