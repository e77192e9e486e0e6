"""Stages that bring an image in: `pull` fetches it into the store, `unpack` turns its layers into a tree."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.digest import Digest
from pipeline.oci import fetch
from pipeline.oci.error import ImageError, Refused
from pipeline.oci.image import image_config, image_manifest
from pipeline.oci.inflate import Budget, ahead, inflate
from pipeline.oci.layer import flatten
from pipeline.oci.manifest import Descriptor, Manifest, check_image
from pipeline.oci.progress import meter
from pipeline.oci.reference import parse
from pipeline.oci.source import sources
from pipeline.store import Store

VERSION = 1

AT_ONCE = 4
"""Layers of an image that are fetched at a time; registries limit connections per client."""


def pull(store: Store, *, reference: str, manifest: str) -> Digest:
    """Fetch the image `reference` at the manifest digest `manifest`; that digest is the result.

    Whatever the store has already, under whatever name it came, is not fetched.
    """
    from concurrent.futures import ThreadPoolExecutor

    image, digest = parse(reference), Digest.parse(manifest)
    places = sources(image)
    if not store.has(digest):
        fetched = fetch.document(places, digest, f"{image} at {digest}")
        if not isinstance(fetched.document, Manifest):
            raise Refused(f"{image}: {digest} is an index; the lock must name the manifest of one platform")
        _put(store, digest, fetched.data)
    document = image_manifest(store, digest)
    check_image(document, str(image))
    missing = [blob for blob in dict.fromkeys((document.config, *document.layers)) if not fetch.there(store, blob)]
    total = sum(blob.size for blob in missing)
    with meter.transfer(str(image), total) as progress, ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda blob: fetch.blob(store, places, blob, f"{image}: {blob.digest}", progress), missing))
    return digest


def unpack(store: Store, image: Digest) -> Digest:
    """The tree that the layers of `image` (a manifest's digest) make.

    ImageError names image, layer and entry; pipeline.store.Missing a blob that is not here, or was damaged.
    """
    from concurrent.futures import ThreadPoolExecutor

    layers, diff_ids = image_manifest(store, image).layers, image_config(store, image)["diff_ids"]
    if len(layers) != len(diff_ids):
        raise Refused(f"image {image}: {len(layers)} layers, but {len(diff_ids)} diff ids")
    try:
        with ThreadPoolExecutor(2) as pool:
            budget = Budget(sum(layer.size for layer in layers))
            tars = list(pool.map(lambda layer, diff_id: uncompressed(store, layer, diff_id, budget), layers, diff_ids))
        tree = flatten(store, tars)
    except ImageError as error:
        raise Refused(f"image {image}: {error}") from None
    return store.put_tree(tree)


def uncompressed(store: Store, layer: Descriptor, diff_id: Digest, budget: Budget) -> Digest:
    """The blob (by sha256) that holds `layer` uncompressed; made if it is not there, and its diff id checked.

    That a tar belongs to a layer is only believed where this function found it out itself, never from the config.
    """
    key = hashlib.sha256(f"{__name__}.uncompressed {VERSION} {layer.digest} {diff_id}".encode()).hexdigest()
    with store.lock(f"layer-{layer.digest.hex}"):
        if (known := store.recall(key)) is not None:
            return known
        path = store.scratch()
        try:
            digest = _write(store, layer, diff_id, budget, path)
            store.adopt(path, digest)
        finally:
            path.unlink(missing_ok=True)
        store.remember(key, digest)
    return digest


def _write(store: Store, layer: Descriptor, diff_id: Digest, budget: Budget, path: Path) -> Digest:
    """Write the uncompressed `layer` to `path`, check it, and return its sha256 digest."""
    named, checked = hashlib.sha256(), hashlib.new(diff_id.algorithm)
    try:
        with store.space(), store.open(layer.digest) as source, open(path, "xb") as out:
            for chunk in ahead(inflate(source, budget)):
                named.update(chunk)
                if diff_id.algorithm != "sha256":
                    checked.update(chunk)
                out.write(chunk)
    except Refused as error:
        store.verify(layer.digest)
        raise Refused(f"layer {layer.digest}: {error}") from None
    found = (named if diff_id.algorithm == "sha256" else checked).hexdigest()
    if found != diff_id.hex:
        store.verify(layer.digest)
        raise Refused(f"layer {layer.digest}: unpacks to {diff_id.algorithm}:{found}, not to its diff id {diff_id}")
    return Digest("sha256:" + named.hexdigest())


def _put(store: Store, digest: Digest, data: bytes) -> None:
    """Store a document that was verified already, under the algorithm that names it."""
    path = store.scratch()
    with store.space():
        path.write_bytes(data)
    store.adopt(path, digest)
