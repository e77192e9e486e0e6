"""Blobs of caches: which can be expected to be brought, and bringing them, verified."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence

from pipeline.host import log
from pipeline.model.digest import Digest
from pipeline.shared.cache import Cache, Counts
from pipeline.shared.wire import WireError
from pipeline.store import Store, progress_counter

BRINGERS = 16
"""Threads that bring the blobs of an output."""


class Blobs:
    """Blobs that `caches` have, as far as they were asked; the first cache is asked first. Thread-safe."""

    def __init__(self, caches: Sequence[Cache], counts: Counts, guard: threading.RLock) -> None:
        self.caches, self.counts, self._guard = caches, counts, guard
        self._sizes: dict[Digest, int] = {}
        """The blobs that can be expected to be brought."""
        self._gone: set[Digest] = set()

    def whole(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        with self._guard:
            unknown = {blob: size for blob, size in blobs.items() if blob not in self._sizes}
            if not self._gone.isdisjoint(unknown):
                return False
        for cache in self.caches:
            if unknown and cache.up:
                try:
                    absent = cache.wire.absent(unknown)
                except WireError as error:
                    cache.fails(error)
                    continue
                self.found(cache, {blob: size for blob, size in unknown.items() if blob not in absent})
                unknown = {blob: size for blob, size in unknown.items() if blob in absent}
        with self._guard:
            self._gone |= unknown.keys()
        return not blobs or (not unknown and self.up)

    def found(self, cache: Cache, blobs: Mapping[Digest, int]) -> None:
        """Notes that `cache` has `blobs`, but for those that proved gone."""
        with self._guard:
            there = {blob: size for blob, size in blobs.items() if blob not in self._gone}
            self._sizes |= there
            cache.blobs |= there.keys()

    @property
    def up(self) -> bool:
        """False when no cache answers any more."""
        return any(cache.up for cache in self.caches)

    def size(self, blob: Digest) -> int | None:
        return self._sizes.get(blob) if self.up else None

    def bring_all(self, store: Store, blobs: Iterable[Digest]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        wanted = [blob for blob in blobs if self.size(blob) is not None]
        with ThreadPoolExecutor(BRINGERS, "bring") as pool:
            list(pool.map(lambda blob: self.bring(store, blob), wanted))

    def bring(self, store: Store, blob: Digest) -> bool:
        size = self.size(blob)
        if size is None:
            return False
        with store.lock(f"bring-{blob.hex}"):
            if store.here(blob):
                return True
            for cache in self.caches:
                if cache.up and self._fetch(store, cache, blob, size):
                    return True
        with self._guard:
            self._sizes.pop(blob, None)
            self._gone.add(blob)
            for cache in self.caches:
                cache.blobs.discard(blob)
        return False

    def _fetch(self, store: Store, cache: Cache, blob: Digest, size: int) -> bool:
        """Returns whether `cache` gave the blob, which the store then has."""
        path, count, digest = store.scratch(), 0, hashlib.new(blob.algorithm)
        try:
            with store.space(), open(path, "xb") as file:
                for piece in cache.wire.fetch(blob, size):
                    count += len(piece)
                    digest.update(piece)
                    file.write(piece)
                    progress_counter.advance(len(piece))
            if digest.hexdigest() == blob.hex:
                store.adopt(path, blob)
                with self._guard:
                    self.counts.brought += 1
                    self.counts.down += count
                return True
            cache.lies(blob)
        except WireError as error:
            cache.fails(error)
        except KeyError:
            log.info("shared: %s: %s is gone", cache.wire.address, blob)
        finally:
            path.unlink(missing_ok=True)
        return False

    def note_pushed(self, size: int) -> None:
        """Counts a blob of `size` bytes that was pushed."""
        with self._guard:
            self.counts.pushed += 1
            self.counts.up += size

    def note_there(self, cache: Cache, blobs: Mapping[Digest, int]) -> None:
        """Notes that `cache` has `blobs`, also those that had been gone."""
        with self._guard:
            self._gone -= blobs.keys()
            self.found(cache, blobs)

    def none_gone(self, blobs: Iterable[Digest]) -> bool:
        """Returns whether none of `blobs` proved gone."""
        return self._gone.isdisjoint(blobs)
