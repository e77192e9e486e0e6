"""Incremental work: a memo and seeds, with which a change costs what changed. Results are the same without them.

    Memo   values derived from content, by names that identify every input
    Seed   previous versions of output files, whose unchanged chunks the next version is made of

A store has one of each (`pipeline.store.interfaces`). NODEKILN_INCREMENTAL=off gives it null objects.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store import Store
from pipeline.store.beyond import Beyond

if TYPE_CHECKING:
    from pipeline.incremental.checksum import checksum16
    from pipeline.incremental.chunking import FILES_CHUNK, compress_blocks, compress_headed_blocks, one_by_one
    from pipeline.incremental.memoize import memoized
    from pipeline.incremental.resumable_sha256 import sha256

SWITCH = "NODEKILN_INCREMENTAL"
"""Environment variable: `off` for stores that do all work again."""

__all__ = [
    "FILES_CHUNK",
    "checksum16",
    "compress_blocks",
    "compress_headed_blocks",
    "memoized",
    "one_by_one",
    "open_store",
    "sha256",
]

_MODULES = {"checksum16": "checksum", "memoized": "memoize", "sha256": "resumable_sha256"}
"""Name -> the module that it is imported from when it is used; `chunking` for the others."""


def open_store(root: Path, beyond: Callable[[], Beyond] = Beyond) -> Store:
    """Returns the store in the folder `root`, which reuses earlier work. beyond: as `Store` takes it."""
    if os.environ.get(SWITCH) == "off":
        return Store(root, beyond=beyond)
    from pipeline.incremental.memo import FileMemo
    from pipeline.incremental.seed import FileSeed

    return Store(root, FileMemo, FileSeed, beyond)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'chunking')}"), name)
