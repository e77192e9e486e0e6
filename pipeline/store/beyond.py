"""The interface to results of other machines (`pipeline.shared`), as a null object: without it, all is made here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pipeline.model.digest import Digest

if TYPE_CHECKING:
    from pipeline.store import Record, Store


class Beyond:
    """Records and blobs that a store lacks and others have; this one has none. Any thread may call it.

    A record from here is believed. Its blobs were all there, or in the store, when it was returned; each may be gone a
    moment later, and is then missing like any other.
    """

    keeps = False
    """True if records are to list their blobs: what has been brought is not all here."""

    def prepare(self, store: Store, keys: Iterable[str]) -> None:
        """Asks for all records that the store lacks of `keys`, those of a plan, at once."""

    def record(self, store: Store, key: str) -> Record | None:
        """Returns the record of the action `key`; None if there is none, or a blob of it is neither here nor there."""
        return None

    def whole(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        """Returns whether `bring` can be expected to bring all of `blobs` (digest -> size in bytes)."""
        return not blobs

    def size(self, blob: Digest) -> int | None:
        """Returns the size of `blob` in bytes if `bring` can be expected to bring it; else None. Asks nobody."""
        return None

    def bring(self, store: Store, blob: Digest) -> bool:
        """Puts `blob` into the store, verified; returns whether that is done. Asks nobody if its size is not known."""
        return False

    def bring_all(self, store: Store, blobs: Iterable[Digest]) -> None:
        """Brings those of `blobs` that can be expected to be brought, side by side."""

    def offer(self, store: Store, key: str, record: Record) -> None:
        """Gives the record of the action `key` with its blobs to others, beside what this thread does next."""

    def give(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        """Gives `blobs` (digest -> size in bytes) to others that lack them; returns whether they have them all now."""
        return False

    def expect(self, blobs: Mapping[Digest, int]) -> None:
        """Notes that `blobs` (digest -> size in bytes) can be brought, as another machine has just given them."""

    def finish(self) -> None:
        """Waits for what is being given to others, within a bound."""
