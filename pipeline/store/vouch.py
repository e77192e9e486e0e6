"""Vouch: remembers which file of a blob has been read whole and found right, so that it need not be read again.

A note holds the file's inode, size and time of change. The kernel sets that time whenever a file is written to, and
nobody can set it back; so only what goes wrong beneath the file system stays for `doit fsck` to find, which reads all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.digest import Digest
from pipeline.store import facts

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 18
"""Bytes up to which a blob is sooner read than looked up."""


def vouch(store: Store, blob: Digest) -> None:
    """Note that the file of `blob` is right as it stands."""
    if store.size(blob) > SMALL:
        facts.know(store, f"file {blob}", _mark(store, blob))


def verify(store: Store, blob: Digest) -> None:
    """Damaged if `blob` is not what its name says. Reads it unless its file is vouched for."""
    if facts.known(store, f"file {blob}") != _mark(store, blob):
        store.verify(blob)
        vouch(store, blob)


def _mark(store: Store, blob: Digest) -> str:
    found = store.stat(blob)
    return f"{found.st_ino} {found.st_size} {found.st_ctime_ns}"
