"""Removes a damaged blob together with everything that may be derived from its bytes.

A record names the inputs of its action. Those records are dropped that follow from a result that refers to the blob,
and those whose inputs have no record any more. Memos and seeds do not name their inputs: all of them are dropped. The
action that made the blob keeps its record, and must give the same result again.

The store's file `damage` changes, and doit's tasks compare it: they check again what was built before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Set
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.stamp import DAMAGE
from pipeline.model.digest import Digest
from pipeline.store import record as records
from pipeline.store.errors import damage_notices
from pipeline.store.interfaces import MEMO, SEEDS
from pipeline.store.record import Record
from pipeline.store.references import named

if TYPE_CHECKING:
    from pipeline.store import Store


def drop(store: Store, suspects: Iterable[Digest]) -> list[Path]:
    """Removes the damaged blobs among `suspects` and what may be derived from them; returns the dropped records.

    Derived results are removed first: if this process is killed, the blob is found again. StoreError if the store
    cannot be written.
    """
    with store.lock(DAMAGE), store.space():
        damaged = {blob for blob in suspects if not right(store, blob)}
        if not damaged:  # another thread or process removed them
            return []
        dropped = _derived(store, damaged)
        for path in dropped:
            path.unlink(missing_ok=True)
        store.clear(MEMO)
        store.clear(SEEDS)
        store.note(store.root / DAMAGE, f"{os.urandom(8).hex()} {' '.join(sorted(damaged))}\n".encode())
        for blob in damaged:
            store.path(blob).unlink(missing_ok=True)
    damage_notices.extend(
        f"{store.path(blob)} was damaged: it is made again, and all that was made of it" for blob in damaged
    )
    return dropped


def right(store: Store, blob: Digest) -> bool:
    """Returns whether the file of `blob`, which is read whole, has that digest, or is missing."""
    try:
        with open(store.path(blob), "rb") as file:
            return hashlib.file_digest(file, blob.algorithm).hexdigest() == blob.hex
    except FileNotFoundError:
        return True


def _derived(store: Store, damaged: Set[Digest]) -> list[Path]:
    """Returns the paths of the records of actions that may have read bytes of the blobs `damaged`."""
    known = {path.name: (path, record) for path, record in records.every(store.root) if record is not None}
    suspect = {key for key, (_, record) in known.items() if _refers(store, record, damaged)}
    dropped = {key for key, (_, record) in known.items() if _mentions(record, damaged)}
    while True:
        trusted = known.keys() - suspect - dropped
        more = {key for key, (_, record) in known.items() if not trusted.issuperset(record.inputs)} - dropped
        if not more:
            break
        dropped |= more
    return [known[key][0] for key in dropped]


def _refers(store: Store, record: Record, damaged: Set[Digest]) -> bool:
    """Returns whether the result may refer to one of `damaged`: it does, is damaged itself, or is missing."""
    if record.blobs:
        return not damaged.isdisjoint(record.blobs)
    result = record.result
    try:
        data = store.path(result).read_bytes()
    except FileNotFoundError:
        return True
    right = hashlib.new(result.algorithm, data).hexdigest() == result.hex
    return not right or result in damaged or not damaged.isdisjoint(named(io.BytesIO(data)))


def _mentions(record: Record, damaged: Set[Digest]) -> bool:
    """Returns whether a parameter of the action names one of `damaged`."""
    params = json.dumps(record.facts.get("params"))
    return any(blob.hex in params for blob in damaged)
