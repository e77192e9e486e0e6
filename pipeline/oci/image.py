"""An image in the store, by the digest of its manifest."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.oci import config as configs
from pipeline.oci import manifest as manifests
from pipeline.oci.config import Config
from pipeline.oci.error import Refusal
from pipeline.oci.manifest import CONFIG_LIMIT, MANIFEST_LIMIT, Manifest
from pipeline.store import Store


def image_manifest(store: Store, image: Digest) -> Manifest:
    """Returns the manifest `image`. Refusal for anything else; pipeline.store.Missing."""
    document = manifests.parse(_document(store, image, MANIFEST_LIMIT), f"manifest {image}")
    if not isinstance(document, Manifest):
        raise Refusal(f"{image} is an index; the manifest of one platform is needed")
    return document


def image_config(store: Store, image: Digest) -> Config:
    """Returns the known fields of an image's configuration, checked."""
    digest = image_manifest(store, image).config.digest
    return configs.parse(_document(store, digest, CONFIG_LIMIT), f"config {digest} of {image}")


def _document(store: Store, digest: Digest, limit: int) -> bytes:
    if store.size(digest) > limit:
        raise Refusal(f"{digest} is larger than {limit} bytes")
    return store.get(digest)
