"""Records that are believed: asked for, compared, and known to be stated."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pipeline.host import log
from pipeline.model.errors import NodekilnError
from pipeline.shared.blobs import Blobs
from pipeline.shared.cache import Cache
from pipeline.shared.statement import Believed, Refused, decode
from pipeline.shared.wire import WireError


class Conflict(NodekilnError):
    """Two results for one key, both signed."""

    def __init__(self, subject: str, one: Believed, other: Believed) -> None:
        super().__init__(
            f"{subject}: not reproducible: {one.signer} signed the result {one.record.result},"
            f" {other.signer} {other.record.result}: one of the two machines is wrong"
        )


class Records:
    """Records by the keys of their actions, as caches have stated them. Thread-safe.

    believed: what is known; asked: the keys that caches were asked for; stated: those whose statements are in a cache.
    plans: key of the statement of a plan -> those of its actions; covered: -> those whose records it has.
    """

    def __init__(self, blobs: Blobs, guard: threading.RLock) -> None:
        self._blobs, self._guard = blobs, guard
        self.believed: dict[str, Believed] = {}
        self.asked: set[str] = set()
        self.stated: set[str] = set()
        self.plans: dict[str, list[str]] = {}
        self.covered: dict[str, set[str]] = {}

    def ask(self, keys: Iterable[str], everywhere: bool = False) -> None:
        """Asks for the statements of those of `keys` that are not known yet. Conflict.

        everywhere: asks all caches, not only until one has it, so that two results for one key are seen.
        """
        for cache in self._blobs.caches:
            rest = [key for key in keys if everywhere or (key not in self.believed and key not in self.asked)]
            if rest and cache.up:
                try:
                    statements = cache.wire.statements(rest)
                except WireError as error:
                    cache.fails(error)
                    continue
                for key in rest:
                    if key in statements:
                        self._take(cache, key, statements[key])
        with self._guard:
            self.asked.update(keys)

    def _take(self, cache: Cache, key: str, unsafe_data: bytes) -> None:
        try:
            records = decode(key, unsafe_data, cache.verify)
        except Refused as error:
            log.info("shared: %s: %.12s: %s", cache.wire.address, key, error)
            return
        with self._guard:
            for action, believed in records.items():
                self.compare(action, believed)
                self.believed[action] = believed
                if cache.wire.complete and not believed.mirrored:
                    self._blobs.found(cache, believed.record.blobs)
            self.asked |= {key, *records}
            self.stated |= records.keys()
            if key in self.plans:
                self.covered[key] = {*records}

    def compare(self, key: str, new: Believed) -> None:
        """Raises Conflict if another result is known under `key`."""
        known = self.believed.get(key)
        if known is not None and known.record.result != new.record.result:
            raise Conflict(new.record.facts.get("name", f"the action {key[:12]}"), known, new)

    def note_stated(self, keys: Iterable[str]) -> None:
        """Notes that a cache has a statement with the records of the actions with `keys`."""
        with self._guard:
            self._blobs.counts.stated += 1
            self.stated.update(keys)
