"""Pieces: parts of a large content that are packed each for itself, and once: a change of a disk re-makes the parts
that it is in. What a part gave is a blob of its own; a fact says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pipeline.digest import Digest, canonical_json
from pipeline.inorder import InOrder
from pipeline.store import Store, facts
from pipeline.tree import Content, Slice

WAITING = 4
"""Parts that wait for a thread."""

Part = tuple[int, Content]
"""A number that counts, too, for what becomes of the content."""
Work = Callable[[tuple[int, bytes]], list[bytes]]
"""What becomes of a part. Threads call it."""


def made(store: Store, how: str, work: Work, parts: list[Part]) -> Iterator[list[Slice]]:
    """What `work` makes of each of `parts`: for each of its results a slice. `how` says all else that decides them."""
    names = [f"{how} {number} {Digest.of(canonical_json(content))}" for number, content in parts]
    found = {name: _known(store, name) for name in names}

    def take(name: str, results: list[bytes]) -> None:
        blob, sizes = store.put(b"".join(results)), [len(result) for result in results]
        facts.know(store, name, " ".join(map(str, (blob, *sizes))))
        found[name] = _slices(blob, sizes)

    with InOrder(work) as threads:
        for name, (number, content) in zip(names, parts, strict=True):
            if found[name] is None:
                threads.submit((number, store.bytes(content)), partial(take, name))
                threads.drain(WAITING)
    for name in names:
        results = found[name]
        assert results is not None
        yield results


def _known(store: Store, name: str) -> list[Slice] | None:
    """What was made before of the same bytes, if it is still here."""
    if (fact := facts.known(store, name)) is None:
        return None
    blob, *sizes = fact.split()
    digest = Digest.parse(blob)
    return _slices(digest, list(map(int, sizes))) if store.has(digest) else None


def _slices(blob: Digest, sizes: list[int]) -> list[Slice]:
    slices, place = [], 0
    for size in sizes:
        slices.append(Slice(blob, place, size))
        place += size
    return slices
