"""Facts: what was found out about bytes by reading them, kept in sums/ab/<hex> so that they need not be read again.

A fact is a text under a name. It is sealed with a hash of both: one that was damaged is not known any more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host import atomic

if TYPE_CHECKING:
    from pipeline.store import Store

FOLDER = "sums"
VERSION = 2
"""Facts of another version are not known: before 2, what was read for them was not always verified."""


def known(store: Store, name: str) -> str | None:
    """The fact `name`; None if there is none, or it is not what was written."""
    try:
        with open(_path(store, name), "rb") as file:
            seal, end, fact = file.read().partition(b"\n")
    except OSError:
        return None
    return fact.decode() if end and seal == _seal(name, fact) else None


def know(store: Store, name: str, fact: str) -> None:
    """Keep `fact` under `name`, in place of what was there. StoreError."""
    data = fact.encode()
    store.note(Path(_path(store, name)), _seal(name, data) + b"\n" + data)


def drop(store: Store) -> None:
    """Forgets all facts. StoreError."""
    with store.space():
        for path in atomic.files_in_subfolders(store.root / FOLDER):
            path.unlink(missing_ok=True)


def _path(store: Store, name: str) -> str:
    key = _hash(name.encode("utf-8", "surrogateescape"))
    return f"{store.root}/{FOLDER}/{key[:2]}/{key}"


def _seal(name: str, fact: bytes) -> bytes:
    return _hash(b"%d\0%b\0%b" % (VERSION, name.encode("utf-8", "surrogateescape"), fact)).encode()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
