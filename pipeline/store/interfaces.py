"""The interfaces to incremental work (`pipeline.incremental`), as null objects: without it, all work is done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.host import atomic
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, length

if TYPE_CHECKING:
    from pipeline.store import Store

MEMO = "sums"
"""Folder of the memo in the store. Emptied when a blob proves damaged, as values do not name their blobs."""
SEEDS = "spares"
"""Folder of the seeds in the store. Emptied with the memo."""

ReadRange = Callable[[int, int], Iterable[bytes]]
"""Yields a range of a file: (offset, count) -> chunks."""


class Memo:
    """Values derived from content, by names that identify every input; this one keeps none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> str | None:
        """Returns the value under `name`; None if there is none."""
        return None

    def put(self, name: str, value: str) -> None:
        """Keeps `value` under `name`, in place of an earlier one. StoreError."""


class Seed:
    """The start of an export of `content` to `path`: here an empty file."""

    digest: Digest | None = None
    """SHA-256 of the content, if it is known."""
    start = 0
    """Offset at which `hash` starts to read."""
    dirty = False
    """True if the file that `open` returned may have other bytes where the content has holes."""

    def __init__(self, store: Store, content: Content, path: Path) -> None:
        self._store, self._content, self._path = store, content, path

    def is_current(self) -> bool:
        """Returns whether `path` holds the content already."""
        return False

    def open(self, partial: Path) -> BinaryIO:
        """Opens the file `partial`, which becomes `path`."""
        return atomic.recreate(partial, buffering=0)

    def runs(self) -> Iterable[tuple[int, Content]]:
        """Yields what is to be written, with its offset: from `start` on in order, then what comes before `start`."""
        return [(0, self._content)]

    def hash(self, read: ReadRange) -> Digest:
        """Returns the SHA-256 of the file, of which `read` waits for what is not written yet."""
        return Digest.of_chunks(read(0, length(self._content)))

    def replace(self, partial: Path) -> None:
        """Renames `partial` to `path`."""
        os.replace(partial, self._path)
