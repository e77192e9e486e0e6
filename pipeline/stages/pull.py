"""Stages that bring an image in: `pull` fetches it into the store, `unpack` turns its layers into a tree.

What knows images is imported when one comes: most builds have them all.
"""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.store import Store

VERSION = 1


def pull(store: Store, *, reference: str, manifest: str) -> Digest:
    """Fetch the image `reference` at the manifest digest `manifest`; that digest is the result. ImageError."""
    from pipeline.oci import pull as images
    from pipeline.oci.reference import parse

    images.pull(store, parse(reference), digest := Digest.parse(manifest))
    return digest


def unpack(store: Store, image: Digest) -> Digest:
    """The tree that the layers of `image` (a manifest's digest) make. ImageError."""
    from pipeline.oci import pull as images

    return store.put_tree(images.unpack(store, image))
