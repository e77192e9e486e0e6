"""Verifies every object of a store.

Damaged objects are removed, with what may be derived from them, and made again when they are needed. Seeds have no
digest to verify; they are removed, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pipeline.engine.gc import blobs, records
from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree
from pipeline.store import SEEDS, Store, derived
from pipeline.store.errors import damage_notices
from pipeline.store.record import Record
from pipeline.store.references import is_tree, references


class Damage(NamedTuple):
    """path: the removed file. what: the reason, for people. derived: it was intact, but derived from a damaged blob."""

    path: Path
    what: str
    derived: bool = False


def check(store: Store, jobs: int | None = None) -> list[Damage]:
    """Verifies all blobs, all records, and what their results refer to; removes what is damaged and returns it.

    jobs: blobs that are read at a time, by default one a core. Builds may run meanwhile.
    """
    store.check_folders()
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        wrong = [blob for blob in pool.map(lambda item: _wrong(store, item[0]), blobs(store)) if blob]
    damage = [Damage(store.path(blob), f"blob {blob}: is not what its name says") for blob in wrong]
    if wrong:
        dropped = derived.drop(store, wrong)
        damage += [Damage(path, f"record {path.name[:12]}: was made of that", True) for path in dropped]
        damage_notices.clear()  # the returned list has all of them
    sizes = {blob: path.stat().st_size for blob, path in blobs(store)}
    for path, known in records(store):
        what = "cannot be read" if known is None else _record(store, known, sizes)
        if what:
            with store.space():
                path.unlink(missing_ok=True)
            damage.append(Damage(path, f"record {path.name[:12]}: {what}"))
    store.clear(SEEDS)
    return damage


def _wrong(store: Store, blob: Digest) -> Digest | None:
    """Returns `blob` if it is damaged; None if it is intact, or was collected meanwhile."""
    return None if derived.right(store, blob) else blob


def _record(store: Store, known: Record, sizes: dict[Digest, int]) -> str:
    """Returns the fault of a record; "" if its result and all that this refers to are there and long enough.

    Of a record that lists its blobs, those that are elsewhere may be missing here.
    """
    if known.blobs and not sizes.keys() >= known.blobs.keys():
        wrong = [blob for blob, size in known.blobs.items() if sizes.get(blob, size) != size]
        return f"{min(wrong)} of its result has {sizes[min(wrong)]} bytes" if wrong else ""
    if known.result not in sizes:
        return "its result is gone"
    if known.size != sizes[known.result]:
        return f"its result has {sizes[known.result]} bytes, not {known.size}"
    gone = references(store, known.result) - sizes.keys()
    if gone:
        return f"its result refers to {min(gone)}, which is gone"
    for path, end, blob in _ends(store, known.result):
        if end > sizes[blob]:
            return f"{path!r} in its result ends at {end} of the {sizes[blob]} bytes of {blob}"
    return ""


def _ends(store: Store, result: Digest) -> Iterator[tuple[str, int, Digest]]:
    for path, file in _tree(store, result).files().items():
        for piece in file.content:
            if piece.blob is not None:
                yield path, piece.offset + piece.length, piece.blob


def _tree(store: Store, result: Digest) -> Tree:
    """Returns the tree `result`; an empty one for a manifest or anything else."""
    return columns.load(store.get(result)) if is_tree(store, result) else Tree()
