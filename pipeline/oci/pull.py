"""Bring: an image comes into the store (`pull`), and its layers become a tree (`unpack`)."""

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
from pipeline.oci.layer import flatten, uncompressed
from pipeline.oci.manifest import Descriptor, Manifest, check_image
from pipeline.oci.reference import Reference
from pipeline.oci.source import sources
from pipeline.store import Store, StoreError, progress_counter

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 4
"""Layers of an image that are fetched at a time; registries limit connections per client."""


def pull(store: Store, image: Reference, digest: Digest) -> None:
    """Fetch `image` at the manifest digest `digest`.

    Whatever the store has already, under whatever name it came, is not fetched. Layers are uncompressed while they
    arrive, for `unpack`, which says so if one cannot be.
    """
    places = sources(image)
    if not store.has(digest):
        fetched = fetch.manifest(places, digest, f"{image} at {digest}")
        if not isinstance(fetched.document, Manifest):
            raise Refusal(f"{image}: {digest} is an index; the lock must name the manifest of one platform")
        _put(store, digest, fetched.data)
    document = image_manifest(store, digest)
    check_image(document, str(image))
    blobs = dict.fromkeys((document.config, *document.layers))
    missing = [blob for blob in blobs if not fetch.there(store, blob, str(image))]
    with progress.transfer(str(image), sum(blob.size for blob in missing)) as arrived:

        def bring(blob: Descriptor, wrote: fetch.Progress) -> None:
            fetch.blob(store, places, blob, f"{image}: {blob.digest}", lambda count: (arrived(count), wrote(count)))

        _bring(store, digest, missing, bring)


def _bring(
    store: Store, image: Digest, missing: Sequence[Descriptor], bring: Callable[[Descriptor, fetch.Progress], None]
) -> None:
    """Have `bring` fetch the blobs `missing` of `image`, and uncompress the layers among them as they arrive."""
    document = image_manifest(store, image)
    budget = Budget(sum(layer.size for layer in document.layers))

    def fetched(blob: Descriptor, file: Download) -> None:
        with file.writing() as wrote:
            bring(blob, wrote)

    def unpacked(layer: Descriptor, file: Download) -> None:
        with file, contextlib.suppress(ImageError, StoreError):  # `unpack` says what is wrong, when all is verified
            if document.config in coming:
                coming[document.config].result()
            for found, diff_id in zip(document.layers, image_config(store, image)["diff_ids"], strict=False):
                if found == layer:
                    uncompressed(store, layer.digest, diff_id, budget, file)
                    break

    files = {blob: Download(fetch.partial(store, blob.digest), store.path(blob.digest)) for blob in missing}
    with _threads() as fetchers, _threads() as unpackers:
        coming = {blob: fetchers.submit(fetched, blob, file) for blob, file in files.items()}
        layers = [unpackers.submit(unpacked, blob, files[blob]) for blob in missing if blob != document.config]
        for job in (*coming.values(), *layers):
            job.result()


def unpack(store: Store, image: Digest) -> Tree:
    """The tree that the layers of `image` (a manifest's digest) make.

    ImageError names image, layer and entry; pipeline.store.Missing a blob that is not here, or was damaged.
    """
    layers, diff_ids = image_manifest(store, image).layers, image_config(store, image)["diff_ids"]
    if len(layers) != len(diff_ids):
        raise Refusal(f"image {image}: {len(layers)} layers, but {len(diff_ids)} diff ids")
    budget = Budget(sum(layer.size for layer in layers))

    def tar(layer: Descriptor, diff_id: Digest) -> Digest:
        try:
            return uncompressed(store, layer.digest, diff_id, budget)
        except Refusal:
            store.verify(layer.digest)
            raise

    try:
        with _threads(progress_counter.current.get()) as pool:
            return flatten(store, list(pool.map(tar, layers, diff_ids)), budget)
    except ImageError as error:
        raise Refusal(f"image {image}: {error}") from None


def _threads(counting: progress_counter.ProgressCounter | None = None) -> ThreadPoolExecutor:
    """Threads for the layers of an image. `counting`: what they move through the store counts there."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(AT_ONCE, initializer=progress_counter.current.set, initargs=(counting,))


def _put(store: Store, digest: Digest, data: bytes) -> None:
    """Store a document that was verified already, under the algorithm that names it."""
    path = store.scratch()
    with store.space(), atomic.create(path) as file:
        file.write(data)
    store.adopt(path, digest)
