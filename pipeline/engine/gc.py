"""Garbage collection of a store.

Kept are the blobs that the actions of the specs on disk need, those that running builds have used since they began, and
of the rest the most recently used, up to the maximum size; those that a shared cache has whole go first. Time stamps
record when an object was written and a record recalled. If a clock went back, or a build uses an object just then, a
needed object is removed, too; it is made again, so collecting beside builds costs time at worst.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.host import atomic
from pipeline.model.digest import LENGTHS, Digest
from pipeline.store import MEMO, SEEDS, Store, locks, record
from pipeline.store.references import blobs_of
from pipeline.store.store import PARTIAL


class Freed(NamedTuple):
    """Numbers and sizes in bytes of what was removed (or would be) and `kept`; `needed` of that is never removed."""

    results: int
    blobs: int
    size: int
    kept: int
    needed: int


class _Result(NamedTuple):
    """The records of one result with its blobs, or a blob that no record refers to: kept or removed together."""

    used: float
    paths: tuple[Path, ...]
    blobs: frozenset[Digest]


def collect(store: Store, keep: Iterable[Action], max_size: int | None, dry_run: bool = False) -> Freed:
    """Removes what `keep` does not need, so that all blobs together have at most `max_size` bytes.

    max_size: None removes only files that killed processes left; 0 all that is not needed. dry_run: removes nothing.
    Concurrent collections wait for each other. StoreError if the store cannot be written.
    """
    if not store.root.exists():
        return Freed(0, 0, 0, 0, 0)
    with store.lock("collect"):
        since = _since(store)
        stamps = {blob: path.stat() for blob, path in blobs(store)}
        kept = {blob for blob in needs(store, keep) if blob in stamps}
        kept |= {blob for blob, stamp in stamps.items() if stamp.st_mtime >= since}
        results = [*_results(store, stamps)]
        kept |= {blob for result in results if result.used >= since for blob in result.blobs if blob in stamps}
        total = needed = sum(stamps[blob].st_size for blob in kept)
        rest = {blob: stamp.st_size for blob, stamp in stamps.items() if blob not in kept}
        is_full = max_size is not None and needed < max_size < needed + sum(rest.values())
        beyond = _beyond(store, rest) if is_full else set()
        results.sort(key=lambda result: (result.blobs - kept <= beyond, -result.used, sorted(result.blobs)))
        gone = []
        for result in results:
            more = {blob for blob in result.blobs - kept if blob in stamps}
            size = sum(stamps[blob].st_size for blob in more)
            if not more or max_size is None or total + size <= max_size:
                kept |= more
                total += size
            else:
                gone.append(result)
        dead = sorted(stamps.keys() - kept)
        if not dry_run:
            locks.sweep(store.root / "locks")
            _remove([path for result in gone for path in result.paths], since)
            _remove([store.path(blob) for blob in dead], since)
            if max_size is not None:
                _remove(
                    [*atomic.files_in_subfolders(store.root / MEMO), *(store.root / "tmp").glob(PARTIAL + "*")], since
                )
                store.clear(SEEDS)
    return Freed(len(gone), len(dead), sum(stamps[blob].st_size for blob in dead), total, needed)


def needs(store: Store, actions: Iterable[Action]) -> set[Digest]:
    """Returns the results of `actions` and of all that they need, with the blobs that those refer to."""
    records = (store.record(action.key) for action in closure(*actions))
    return {blob for known in records if known for blob in blobs_of(store, known)}


def blobs(store: Store) -> Iterator[tuple[Digest, Path]]:
    """Yields every blob of the store with its path. Other files are skipped."""
    for algorithm, length in LENGTHS.items():
        folder = store.root / "blobs" / algorithm
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if len(path.name) == length:
                yield Digest(f"{algorithm}:{path.name}"), path


def records(store: Store) -> Iterator[tuple[Path, record.Record | None]]:
    """Yields every record of the store with its path; None for one that cannot be read."""
    return record.every(store.root)


def _beyond(store: Store, blobs: dict[Digest, int]) -> set[Digest]:
    """Returns those of `blobs` (digest -> size in bytes) that others have, too."""
    shareable = {blob: size for blob, size in blobs.items() if blob.algorithm == "sha256"}
    store.beyond.whole(store, shareable)
    return {blob for blob in shareable if store.beyond.size(blob) is not None}


def _since(store: Store) -> float:
    """Returns when the oldest running build began, in seconds since 1970; if there is none, when this process did."""
    began = []
    for lock in locks.leases(store.root / "tmp", PARTIAL):
        with contextlib.suppress(FileNotFoundError):  # a build that has just ended
            began.append(lock.stat().st_mtime)
    return min(began)


def _results(store: Store, stamps: dict[Digest, os.stat_result]) -> Iterator[_Result]:
    known: dict[Digest, list[tuple[Path, record.Record]]] = {}
    for path, each in records(store):
        if each is not None:
            known.setdefault(each.result, []).append((path, each))
    orphans = set(stamps)
    for records_of in known.values():
        paths, named = tuple(path for path, _ in records_of), frozenset(blobs_of(store, records_of[0][1]))
        orphans -= named
        yield _Result(max(map(_stamp, paths)), paths, named)
    for blob in orphans:
        yield _Result(stamps[blob].st_mtime, (), frozenset({blob}))


def _stamp(path: Path) -> float:
    """Returns the last use of `path`, in seconds since 1970; 0 if it was removed meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _remove(paths: Iterable[Path], since: float) -> None:
    """Removes `paths`, except those used after `since`."""
    for path in paths:
        try:
            if path.stat().st_mtime < since:
                path.unlink()
        except FileNotFoundError:
            continue
