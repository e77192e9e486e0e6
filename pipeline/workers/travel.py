"""Blobs on their way between the stores of an executor and a worker: through what is beyond both.

With nothing beyond them, both have one folder as their store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.store.references import references


def needed(store: Store, results: Iterable[Digest]) -> dict[Digest, int]:
    """Returns all blobs that `results` need, themselves included, with their sizes in bytes. Missing."""
    return {blob: store.size(blob) for result in results for blob in references(store, result)}


def give(store: Store, blobs: Mapping[Digest, int]) -> bool:
    """Has `blobs` (digest -> size in bytes) where the other side can take them from; returns whether they are there."""
    return not store.beyond.keeps or store.beyond.give(store, blobs)


def take(store: Store, blobs: Mapping[Digest, int]) -> bool:
    """Returns whether the store has `blobs`, which the other side gave, or will bring each when it is read."""
    store.beyond.expect({blob: size for blob, size in blobs.items() if not store.here(blob)})
    return all(map(store.has, blobs))
