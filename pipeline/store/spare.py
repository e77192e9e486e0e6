"""Spares: what an output was before it was last replaced, kept so that the next one is made by changing it.

When an export replaces a file that an export made, the store keeps the old one, and a fact: what its chunks are, and
which state of the file that is, as in `vouch`. The next export of the same path takes it, writes the chunks that differ
and gives it the name. So the file that has the name is never touched, and a change of a node costs what changed.

A spare has no other name, and is only taken while nobody has it open: the kernel grants a lease to write (fcntl(2)) on
such a file alone. Where a spare cannot be kept (another file system) or had (another user's), there is none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.host import atomic
from pipeline.host.stamp import stamp
from pipeline.store import facts

if TYPE_CHECKING:
    from pipeline.store import Store

FOLDER = "spares"
BOOT = Path("/proc/sys/kernel/random/boot_id")


def names(store: Store, path: Path) -> list[str]:
    """The names of the chunks that the file `path` is made of; none where nobody knows, or it was written to since."""
    state, _, found = (facts.known(store, _fact(path)) or "").partition("\n")
    return found.split() if state and state == _state(path) else []


def note(store: Store, path: Path, names: Sequence[str]) -> None:
    """Note that the file `path`, as it is now, is made of chunks with these names."""
    facts.know(store, _fact(path), "\n".join((_state(path), " ".join(names))))


def take(store: Store, path: Path, partial: Path) -> tuple[BinaryIO, Sequence[str]]:
    """`partial`, open to be read and written: the spare of `path` and the names of its chunks, or a new file and ()."""
    place = _place(store, path)
    if (found := names(store, place)) and (file := _taken(place, partial)):
        return file, found
    place.unlink(missing_ok=True)
    return atomic.recreate(partial, buffering=0), ()


def replace(store: Store, partial: Path, path: Path) -> bool:
    """Give `partial` the name `path`, and keep what had it; whether that was to be kept: if not, nothing was done."""
    made, place = names(store, path), _place(store, path)
    if not made:
        return False
    try:
        os.link(path, place, follow_symlinks=False)
    except OSError:
        return False
    os.replace(partial, path)
    note(store, place, made)
    return True


def drop(store: Store) -> None:
    """Remove all spares."""
    with store.space():
        for place in (store.root / FOLDER).glob("*"):
            place.unlink(missing_ok=True)


def _place(store: Store, path: Path) -> Path:
    """Where the spare of `path` is, if there is one."""
    return store.root / FOLDER / hashlib.sha256(os.fsencode(path.absolute())).hexdigest()


def _state(path: Path) -> str:
    """Which state of the file `path` this is; empty if there is none, or it has another name as well."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return ""
    return " ".join(map(str, (_boot(), *stamp(found)))) if found.st_nlink == 1 else ""


@cache
def _boot() -> str:
    """Which run of the machine this is: one that lost its power may have lost what it had not yet put on the disk."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _taken(place: Path, partial: Path) -> BinaryIO | None:
    """The file `place` as `partial`, if it can be had and nobody else has it open or mapped."""
    try:
        os.replace(place, partial)
        file = atomic.open_existing(partial, buffering=0)
    except (OSError, atomic.ForeignFile):
        return None
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        file.close()
        partial.unlink()
        return None
    return file


def _fact(path: Path) -> str:
    return f"chunks of {path.absolute()}"
