"""Client of shared caches: what a store lacks is asked for, what it makes is pushed beside the build.

A cache that fails once, or is too slow, is not asked again; one that takes nothing gets nothing more. Each is said once
and costs a build nothing else: what is not there is made here. Nothing is believed but what is signed, and each blob is
verified before the store has it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pipeline.host import log
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.shared import configuration
from pipeline.shared import signer as signers
from pipeline.shared.blobs import Blobs
from pipeline.shared.cache import Cache, Counts
from pipeline.shared.configuration import Settings
from pipeline.shared.push import Push
from pipeline.shared.records import Records
from pipeline.shared.signer import Sign
from pipeline.shared.statement import Believed, plan_key, public_key, public_text, verifier
from pipeline.store import Record, Store
from pipeline.store.beyond import Beyond

MIRRORED = ("pipeline.stages.pull.pull", "pipeline.packages.fetch.fetch")
"""Stages whose blobs are on a mirror under the same digests: their records are pushed without them."""
LOCAL = ("pipeline.stages.trusted.trusted",)
"""Stages that run on each machine: nobody else verifies signatures for it."""

opened: list[SharedCache] = []
"""The caches that this process uses: their figures stand in the summary of a build."""

OWNER = "this user"
"""Signer of what stands unsigned in a folder that this user alone may write into."""
SIGNER = "signer"
"""Fact of a record in a store: who else signed the result, which is never pushed as this user's own."""


class SharedCache(Beyond):
    """The caches of a configuration, the first of which is asked first. Thread-safe."""

    keeps = True
    trusted: Sequence[str] = ()
    """Names of the keys that are believed."""
    key = ""
    """The public key of what this user pushes, as others trust it."""

    def __init__(
        self, caches: Sequence[Cache], sign: Sign, signer: str, everything: bool, wait: float, audit: float
    ) -> None:
        self.caches, self.counts, self.sign, self._signer = caches, Counts(), sign, signer
        self._everything, self._wait, self._audit = everything, wait, audit
        self._seed = os.urandom(8)
        self._guard, self._asking = threading.RLock(), threading.Lock()
        self._wanted: set[str] = set()
        self._used: set[str] = set()
        self._blobs = Blobs(caches, self.counts, self._guard)
        self._records = Records(self._blobs, self._guard)
        self._push = Push(self._blobs, self._records, sign)
        opened.append(self)
        atexit.register(self.finish)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the caches of `settings`, none of which is opened yet. BadInput; NodekilnError."""
        trusted = dict(map(public_key, settings.trust))
        own = {url for url in settings.caches if configuration.own_folder(url)}
        signer, sign = signers.load(Path(settings.sign), trusted) if settings.sign else ("", signers.unsigned)
        if settings.push and not signer and settings.caches[0] not in own:
            raise BadInput(f"{configuration.PUSH}: pushing takes a private key: set {configuration.SIGN} to its file")
        if not trusted and not own:
            raise NodekilnError(f"no key is trusted: set {configuration.TRUST} to NAME:BASE64")
        caches = [
            Cache(
                configuration.connect(url, settings.timeout),
                verifier(trusted, OWNER if url in own else ""),
                pushes=settings.push and url == settings.caches[0],
            )
            for url in settings.caches
        ]
        shared = cls(caches, sign, signer or OWNER, settings.everything, settings.wait, settings.audit)
        shared.trusted, shared.key = [*trusted], public_text(signer, trusted[signer]) if signer else ""
        return shared

    # records

    def prepare(self, store: Store, keys: Iterable[str]) -> None:
        every = sorted(set(keys))
        plan = plan_key(every)
        with self._asking:
            if plan in self._records.plans:
                return
            self._records.plans[plan] = every
            wanted = {}
            for key in every:
                record = store.record(key)
                absent = {} if record is None else _absent(store, record)
                if record is None or absent or self._push.wanted:
                    wanted[key] = absent
            if not wanted:
                return
            self._records.ask([plan], everywhere=True)
            self._records.ask(wanted)
            blobs = {blob: size for absent in wanted.values() for blob, size in absent.items()}
            for key in wanted:
                if (believed := self._records.believed.get(key)) and not believed.mirrored:
                    blobs |= _absent(store, believed.record)
            self.whole(store, blobs)
        for key in every if self._push.wanted else ():
            if key not in self._records.believed and (record := store.record(key)) and not _absent(store, record):
                self.offer(store, key, record)

    def record(self, store: Store, key: str) -> Record | None:
        if key not in self._records.asked:
            self._records.ask([key])
        believed = self._records.believed.get(key)
        self._note_use(key, hit=False)
        if believed is None or self._is_audited(believed):
            return None
        if not believed.mirrored and not self.whole(store, _absent(store, believed.record)):
            return None
        self._note_use(key, hit=True)
        log.debug("shared: hit %.12s, signed by %s", key, believed.signer)
        if self._is_own(believed.signer):
            return believed.record
        return believed.record._replace(facts={**believed.record.facts, SIGNER: believed.signer})

    def _is_own(self, signer: str) -> bool:
        """Returns whether this user signed, so that the own key may stand for it."""
        return signer in (self._signer, OWNER)

    def _note_use(self, key: str, hit: bool) -> None:
        """Counts that a record was asked for, or used: each once."""
        with self._guard:
            keys = self._used if hit else self._wanted
            keys.add(key)
            self.counts.hits, self.counts.asked = len(self._used), len(self._wanted)

    def _is_audited(self, believed: Believed) -> bool:
        """Returns whether the result is one of those that are made again: in this process always the same."""
        if not self._audit or believed.mirrored:
            return False
        chance = hashlib.sha256(self._seed + believed.record.result.encode()).digest()
        return int.from_bytes(chance[:8], "big") < self._audit * 2**64

    # blobs

    def whole(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        return self._blobs.whole(store, blobs)

    def size(self, blob: Digest) -> int | None:
        return self._blobs.size(blob)

    def bring(self, store: Store, blob: Digest) -> bool:
        return self._blobs.bring(store, blob)

    def bring_all(self, store: Store, blobs: Iterable[Digest]) -> None:
        self._blobs.bring_all(store, blobs)

    # pushing

    def offer(self, store: Store, key: str, record: Record) -> None:
        """Conflict if another result was signed under `key`."""
        stage = record.facts.get("stage", "")
        believed = Believed(record, stage in MIRRORED and not self._everything, self._signer)
        with self._guard:
            self._records.compare(key, believed)
            if not stage or stage in LOCAL or not self._push.wanted:
                return
            if not self._is_own(record.facts.get(SIGNER, OWNER)):
                return
            if (known := self._records.believed.get(key)) and self._blobs.none_gone(known.record.blobs):
                return
            self._records.believed[key] = believed
        self._push.add(store, key, believed)

    def give(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        return self._push.give(store, blobs) or self.whole(store, blobs)

    def expect(self, blobs: Mapping[Digest, int]) -> None:
        self._blobs.note_there(self.caches[0], blobs)

    def finish(self) -> None:
        if self._push.end(self._wait):
            for plan, actions in self._records.plans.items():
                stated = {key: self._records.believed[key] for key in actions if key in self._records.stated}
                records = {key: believed for key, believed in stated.items() if self._is_own(believed.signer)}
                if len(records) > len(self._records.covered.get(plan, ())):
                    self._push.state(plan, records)
                    self._records.covered[plan] = {*records}

    def close(self) -> None:
        """Ends all connections and threads, without waiting for what is being pushed; nothing is asked any more."""
        for cache in self.caches:
            cache.up = cache.pushes = False
            cache.wire.close()
        self._push.close()
        atexit.unregister(self.finish)
        opened.remove(self)


def finish_all() -> list[Counts]:
    """Waits for what this process pushes, within a bound, and returns the figures of each cache that was used."""
    for shared in opened:
        shared.finish()
    return [shared.counts for shared in opened if shared.counts.asked or shared.counts.stated]


def _absent(store: Store, record: Record) -> dict[Digest, int]:
    """Returns the blobs (digest -> size in bytes) of `record` that are not in the store itself."""
    blobs = record.blobs or {record.result: record.size}
    return {blob: size for blob, size in blobs.items() if not store.here(blob)}
