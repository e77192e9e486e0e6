"""Stages that fetch an image into the store, and turn its layers into a tree.

`pipeline.oci` is imported where it is used: most builds have all images already.
"""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.store import Store

VERSION = 1
HOST_STAGES = ("pull",)
"""Stages that no other machine runs: it opens sockets."""


def pull(store: Store, *trusted: Digest, reference: str, manifest: str) -> Digest:
    """Fetches the image `reference` with the manifest digest `manifest`, and returns that digest. ImageError.

    trusted: the signers (pipeline.stages.trusted), where a rule needs some; they are verified before this runs.
    """
    from pipeline.oci import pull as images
    from pipeline.oci.reference import parse

    images.pull(store, parse(reference), digest := Digest.parse(manifest))
    return digest


def unpack(store: Store, image: Digest) -> Digest:
    """Returns the tree of the layers of `image`, a manifest's digest. ImageError."""
    from pipeline.oci import pull as images

    return store.put_tree(images.unpack(store, image))
