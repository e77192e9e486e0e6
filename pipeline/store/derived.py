"""Derived: a damaged blob is removed together with all that may have been made of its bytes.

A record names the inputs of its action, so those are found and dropped that follow from a result that refers to the
blob, and those whose inputs have no record any more. Facts and spares do not say what they stem from: all of them go.
The action that made the blob keeps its record, and must give the same again.

The store notes that there was damage, and doit's tasks look at that: what was built before is looked at again.
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
from pipeline.store import facts, spare
from pipeline.store import record as records
from pipeline.store.fault import noted
from pipeline.store.record import Record
from pipeline.store.references import named

if TYPE_CHECKING:
    from pipeline.store import Store


def drop(store: Store, suspects: Iterable[Digest]) -> list[Path]:
    """Removes those blobs of `suspects` that are not right, and what may stem from them; returns the dropped records.

    Derived results go first: a process that is killed here leaves the blob to be found again. StoreError if the store
    cannot be written.
    """
    with store.lock(DAMAGE), store.space():
        damaged = {blob for blob in suspects if not right(store, blob)}
        if not damaged:  # another thread or process was quicker
            return []
        dropped = _derived(store, damaged)
        for path in dropped:
            path.unlink(missing_ok=True)
        facts.drop(store)
        spare.drop(store)
        store.note(store.root / DAMAGE, f"{os.urandom(8).hex()} {' '.join(sorted(damaged))}\n".encode())
        for blob in damaged:
            store.path(blob).unlink(missing_ok=True)
    noted.extend(f"{store.path(blob)} was damaged: it is made again, and all that was made of it" for blob in damaged)
    return dropped


def right(store: Store, blob: Digest) -> bool:
    """Returns whether the file of `blob`, which is read whole, is what its name says; or is not there."""
    try:
        with open(store.path(blob), "rb") as file:
            return hashlib.file_digest(file, blob.algorithm).hexdigest() == blob.hex
    except FileNotFoundError:
        return True


def _derived(store: Store, damaged: Set[Digest]) -> list[Path]:
    """Returns the paths of the records of actions that may have read bytes of `damaged`."""
    known = {path.name: (path, found) for path, found in records.every(store.root) if found is not None}
    suspect = {key for key, (_, found) in known.items() if _refers(store, found.result, damaged)}
    dropped = {key for key, (_, found) in known.items() if _mentions(found, damaged)}
    while True:
        trusted = known.keys() - suspect - dropped
        more = {key for key, (_, found) in known.items() if not trusted.issuperset(found.inputs)} - dropped
        if not more:
            break
        dropped |= more
    return [known[key][0] for key in dropped]


def _refers(store: Store, result: Digest, damaged: Set[Digest]) -> bool:
    """Returns whether `result` refers to one of `damaged`, or may: it is damaged itself, or not there."""
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
