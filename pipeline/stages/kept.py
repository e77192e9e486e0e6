"""Kept: what a writer makes of a part of its input, found again by name instead of being made again.

What was written is a tree's only file, so that its slices are stored once; a fact says which tree, and what was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipeline.model import columns
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Sink
from pipeline.store import Missing, Store, facts


def kept(store: Store, name: str, make: Callable[[Sink], Any]) -> tuple[Any, Content]:
    """What `make(out)` returns, as JSON gives it back, and what it writes to `out`. `name` says all that decides it."""
    if (found := _known(store, name)) is None:
        out = store.rope()
        said = json.dumps(make(out), separators=(",", ":"))
        content = out.finish()
        facts.know(store, _fact(name), f"{store.put(columns.dump(trees.only('', content)))} {said}")
        return json.loads(said), content
    return found


def _known(store: Store, name: str) -> tuple[Any, Content] | None:
    """What was made before, if all of it is still here."""
    if (fact := facts.known(store, _fact(name))) is None:
        return None
    result, _, said = fact.partition(" ")
    try:
        tree = columns.load(store.get(Digest.parse(result)))  # not store.tree: there is room for few, for larger ones
    except Missing:
        return None
    content = tree.file("").content
    blobs = {piece.blob for piece in content}
    return (json.loads(said), content) if all(store.has(blob) for blob in blobs if blob) else None


def _fact(name: str) -> str:
    return f"kept {columns.VERSION} {name}"
