"""Blobs on their way between the stores of an executor and a worker."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.store.references import references


def needed(store: Store, results: Iterable[Digest]) -> dict[Digest, int]:
    """Returns all blobs that `results` need, themselves included, with their sizes in bytes. Missing."""
    return {blob: store.size(blob) for result in results for blob in references(store, result)}
