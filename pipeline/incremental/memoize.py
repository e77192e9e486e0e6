"""Memoises the output of a writer for a part of its input.

The output is stored as the only file of a tree, so that its slices are stored once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, File, Sink, only
from pipeline.store import Missing, Store


def memoized(store: Store, name: str, make: Callable[[Sink], Any]) -> tuple[Any, Content]:
    """Returns the JSON value that `make(sink)` returns, and the content that it writes. `name` identifies every input.

    `make` is not called if the store still has what it made before.
    """
    name = f"kept {columns.VERSION} {name}"
    if (known := _recall(store, name)) is not None:
        return known
    out = store.rope()
    text = json.dumps(make(out), separators=(",", ":"))
    content = out.finish()
    store.memo.put(name, f"{store.put(columns.dump(only('', content)))} {text}")
    return json.loads(text), content


def _recall(store: Store, name: str) -> tuple[Any, Content] | None:
    """Returns the value and content that were made before; None if any of it is gone."""
    if (memo := store.memo.get(name)) is None:
        return None
    tree, _, text = memo.partition(" ")
    try:
        entry = columns.load(store.get(Digest.parse(tree)))[""]  # not `store.tree`, whose memory is for larger ones
    except Missing:
        return None
    assert type(entry) is File
    blobs = {piece.blob for piece in entry.content}
    return (json.loads(text), entry.content) if all(store.has(blob) for blob in blobs if blob) else None
