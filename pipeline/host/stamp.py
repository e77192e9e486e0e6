"""Stamp: which state of a file this is, as far as that can be told without reading it. Imports nothing of weight."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Inode, size in bytes, time of modification and time of change, both in nanoseconds."""

DAMAGE = "damage"
"""Name of the file in a store that gets other bytes each time that a damaged blob is found (pipeline.store.derived)."""


def stamp(found: os.stat_result) -> Stamp:
    """Returns the mark of a file as it stands.

    The kernel sets the time of change whenever a file is written to, and nobody can set it back.
    """
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def settle_mtime(path: Path) -> None:
    """Gives the file `path` a time of modification that no clock gives it.

    Linux before 6.13 takes time stamps from a clock that ticks every 1 to 10 ms. A file that is written to in the tick
    in which its mark was taken has another mark all the same, then.
    """
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def damage_token(store: Path) -> str:
    """Returns what tells the last damage that was found in the store `store` from any other; "" if there was none."""
    try:
        return (store / DAMAGE).read_text(errors="replace")
    except OSError:
        return ""
