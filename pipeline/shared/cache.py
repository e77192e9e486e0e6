"""One cache: its wire and its faults; and the figures of all caches of a build."""

from __future__ import annotations

import threading

from pipeline.host.terminal import say
from pipeline.model.digest import Digest
from pipeline.model.size import shown
from pipeline.shared.statement import Verify
from pipeline.shared.wire import Wire, WireError

MOST_WRONG = 16
"""Wrong blobs after which a cache is not asked any more."""


class Cache:
    """One cache: its wire, and whether it still answers and takes."""

    def __init__(self, wire: Wire, verify: Verify, pushes: bool) -> None:
        self.wire, self.verify, self.pushes = wire, verify, pushes
        self.up = True
        self.blobs: set[Digest] = set()
        """Blobs that it has, as far as it was asked."""
        self.wrong = 0
        self._guard = threading.Lock()

    def fails(self, error: WireError) -> None:
        """Asks nothing of this cache any more."""
        with self._guard:
            was, self.up, self.pushes = self.up, False, False
        if was:
            say(f"warning: {error}; the build goes on without it", error=True)

    def refuses(self, error: WireError) -> None:
        """Pushes nothing to this cache any more."""
        with self._guard:
            was, self.pushes = self.pushes, False
        if was:
            say(f"warning: {error}; nothing more is pushed", error=True)

    def lies(self, blob: Digest) -> None:
        """Counts a blob with another sum than its name."""
        with self._guard:
            self.wrong += 1
        if self.wrong == 1:
            say(f"warning: {self.wire.address}: {blob} has another sum: it is made here", error=True)
        if self.wrong == MOST_WRONG:
            self.fails(WireError(f"{self.wire.address}: {MOST_WRONG} blobs have other sums than their names"))


class Counts:
    """asked, hits: records that were asked for, and used. brought, pushed: blobs. down, up: their bytes.

    stated: statements that were pushed. unpushed: records that were not, for lack of time.
    """

    def __init__(self) -> None:
        self.asked = self.hits = self.brought = self.down = self.pushed = self.up = self.stated = self.unpushed = 0

    def __str__(self) -> str:
        parts = [f"{self.hits} of {self.asked} results, {shown(self.down)}"]
        if self.stated or self.unpushed:
            parts.append(f"{self.pushed} blobs pushed, {shown(self.up)}")
        if self.unpushed:
            parts.append(f"{self.unpushed} results not pushed in time")
        return ", ".join(parts)
