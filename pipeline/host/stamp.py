"""Stamp: identifies one state of a file without reading it. Imports nothing of weight."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Inode, size in bytes, times of modification and of change in nanoseconds."""

DAMAGE = "damage"
"""Name of the file in a store that gets other bytes whenever a damaged blob is found (pipeline.store.derived)."""


def stamp(status: os.stat_result) -> Stamp:
    """Returns the stamp of a file. The kernel sets the time of change on every write, and nobody can reset it."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def settle_mtime(path: Path) -> None:
    """Sets the time of modification to a value that a later write cannot reproduce.

    Linux before 6.13 takes time stamps from a clock that ticks every 1 to 10 ms, so that a write in the same tick would
    not change the stamp.
    """
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def damage_token(store: Path) -> str:
    """Returns a string that changes with every damage that is found in the store; "" before the first."""
    try:
        return (store / DAMAGE).read_text(errors="replace")
    except OSError:
        return ""
