"""An image into the store (`pull`), and its layers into a tree (`unpack`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.host import atomic
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree
from pipeline.oci import fetch, progress
from pipeline.oci.decompress import Budget
from pipeline.oci.download import Download
from pipeline.oci.error import ImageError, Refusal
from pipeline.oci.image import image_config, image_manifest
from pipeline.oci.layer import decompressed, flatten
from pipeline.oci.manifest import Descriptor, Manifest, check_image
from pipeline.oci.progress import Progress
from pipeline.oci.reference import Reference
from pipeline.oci.source import sources
from pipeline.store import Store, StoreError, progress_counter

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

CONNECTIONS = 4
"""Layers of an image that are fetched at once; registries limit connections per client."""


def pull(store: Store, image: Reference, digest: Digest) -> None:
    """Fetches `image` at the manifest digest `digest`, except blobs that the store has. ImageError.

    Layers are decompressed while they arrive. A layer that cannot be is left to `unpack`, which raises the error.
    """
    places = sources(image)
    if not store.has(digest):
        fetched = fetch.manifest(places, digest, f"{image} at {digest}")
        if not isinstance(fetched.document, Manifest):
            raise Refusal(f"{image}: {digest} is an index; the lock must name the manifest of one platform")
        put_manifest(store, digest, fetched.data)
    document = image_manifest(store, digest)
    check_image(document, str(image))
    blobs = dict.fromkeys((document.config, *document.layers))
    missing = [blob for blob in blobs if not fetch.is_stored(store, blob, str(image))]
    with progress.transfer(str(image), sum(blob.size for blob in missing)) as transferred:

        def fetch_blob(blob: Descriptor, written: Progress) -> None:
            fetch.blob(store, places, blob, f"{image}: {blob.digest}", lambda size: (transferred(size), written(size)))

        _fetch(store, digest, missing, fetch_blob)


def _fetch(
    store: Store, image: Digest, missing: Sequence[Descriptor], fetch_blob: Callable[[Descriptor, Progress], None]
) -> None:
    """Fetches the blobs `missing` of `image` with `fetch_blob`, and decompresses the layers among them meanwhile."""
    document = image_manifest(store, image)
    budget = Budget(sum(layer.size for layer in document.layers))

    def download(blob: Descriptor, file: Download) -> None:
        with file.writing() as written:
            fetch_blob(blob, written)

    def decompress(layer: Descriptor, file: Download) -> None:
        with file, contextlib.suppress(ImageError, StoreError):  # `unpack` raises the error when all is verified
            if document.config in downloads:
                downloads[document.config].result()
            pairs = zip(document.layers, image_config(store, image)["diff_ids"], strict=False)
            if diff_id := next((diff_id for other, diff_id in pairs if other == layer), None):
                decompressed(store, layer.digest, diff_id, budget, file)

    files = {blob: Download(fetch.partial_path(store, blob.digest), store.path(blob.digest)) for blob in missing}
    with _threads() as fetchers, _threads() as decompressors:
        downloads = {blob: fetchers.submit(download, blob, file) for blob, file in files.items()}
        layers = [decompressors.submit(decompress, blob, files[blob]) for blob in missing if blob != document.config]
        for job in (*downloads.values(), *layers):
            job.result()


def unpack(store: Store, image: Digest) -> Tree:
    """Returns the tree of the layers of `image` (a manifest's digest).

    ImageError names image, layer and entry; pipeline.store.Missing if a blob is not in the store, or was damaged.
    """
    layers, diff_ids = image_manifest(store, image).layers, image_config(store, image)["diff_ids"]
    if len(layers) != len(diff_ids):
        raise Refusal(f"image {image}: {len(layers)} layers, but {len(diff_ids)} diff ids")
    budget = Budget(sum(layer.size for layer in layers))

    def tar(layer: Descriptor, diff_id: Digest) -> Digest:
        try:
            return decompressed(store, layer.digest, diff_id, budget)
        except Refusal:
            store.verify(layer.digest)
            raise

    try:
        with _threads(progress_counter.current.get()) as pool:
            return flatten(store, list(pool.map(tar, layers, diff_ids)), budget)
    except ImageError as error:
        raise Refusal(f"image {image}: {error}") from None


def _threads(counter: progress_counter.ProgressCounter | None = None) -> ThreadPoolExecutor:
    """Returns threads for the layers of an image. counter: counts the bytes that they move in the store."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(CONNECTIONS, initializer=progress_counter.current.set, initargs=(counter,))


def put_manifest(store: Store, digest: Digest, data: bytes) -> None:
    """Stores a verified document under the algorithm of `digest`."""
    path = store.scratch()
    with store.space(), atomic.create(path) as file:
        file.write(data)
    store.adopt(path, digest)
