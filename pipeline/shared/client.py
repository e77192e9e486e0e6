"""Client of shared caches: what a store lacks is asked for, what it makes is pushed beside the build.

A cache that fails once, or is too slow, is not asked again; one that takes nothing gets nothing more. Each is said once
and costs a build nothing else: what is not there is made here. Nothing is believed but what is signed, and each blob is
verified before the store has it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pipeline.host import log
from pipeline.host.terminal import say
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.model.size import shown
from pipeline.shared import configuration
from pipeline.shared.configuration import Settings
from pipeline.shared.statement import (
    NAME,
    Believed,
    Refused,
    Verify,
    decode,
    encode,
    plan_key,
    public_key,
    public_text,
    verifier,
)
from pipeline.shared.wire import Wire, WireError
from pipeline.store import Missing, Record, Store, progress_counter
from pipeline.store.beyond import Beyond
from pipeline.store.references import references
from pipeline.trust import keys, signing
from pipeline.trust.error import SignatureRefusal

BRINGERS = 16
"""Threads that bring the blobs of an output."""
PUSHERS = 8
"""Threads that push."""
MOST_WRONG = 16
"""Wrong blobs after which a cache is not asked any more."""
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
Sign = Callable[[bytes], Mapping[str, bytes]]


class Conflict(NodekilnError):
    """Two results for one key, both signed."""

    def __init__(self, subject: str, one: Believed, other: Believed) -> None:
        super().__init__(
            f"{subject}: not reproducible: {one.signer} signed the result {one.record.result},"
            f" {other.signer} {other.record.result}: one of the two machines is wrong"
        )


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
        self._guard = threading.RLock()
        self._asking = threading.Lock()
        self._records: dict[str, Believed] = {}
        self._asked: set[str] = set()
        self._stated: set[str] = set()
        """The keys whose statements are in a cache."""
        self._sizes: dict[Digest, int] = {}
        """The blobs that can be expected to be brought."""
        self._gone: set[Digest] = set()
        self._wanted: set[str] = set()
        self._used: set[str] = set()
        self._push = _Push(self)
        self._plans: dict[str, list[str]] = {}
        """Key of the statement of a plan -> those of its actions."""
        self._covered: dict[str, set[str]] = {}
        """Key of the statement of a plan -> those of the actions whose records it has."""
        opened.append(self)
        atexit.register(self.finish)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the caches of `settings`, none of which is opened yet. BadInput; NodekilnError."""
        trusted = dict(map(public_key, settings.trust))
        own = {url for url in settings.caches if configuration.own_folder(url)}
        signer, sign = _signer(Path(settings.sign), trusted) if settings.sign else ("", _unsigned)
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
            if plan in self._plans:
                return
            self._plans[plan] = every
            wanted = {}
            for key in every:
                record = store.record(key)
                absent = {} if record is None else _absent(store, record)
                if record is None or absent or self._push.wanted:
                    wanted[key] = absent
            if not wanted:
                return
            self._ask([plan], everywhere=True)
            self._ask(wanted)
            blobs = {blob: size for absent in wanted.values() for blob, size in absent.items()}
            for key in wanted:
                if (believed := self._records.get(key)) and not believed.mirrored:
                    blobs |= _absent(store, believed.record)
            self.whole(store, blobs)
        for key in every if self._push.wanted else ():
            if key not in self._records and (record := store.record(key)) and not _absent(store, record):
                self.offer(store, key, record)

    def record(self, store: Store, key: str) -> Record | None:
        if key not in self._asked:
            self._ask([key])
        believed = self._records.get(key)
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

    def _ask(self, keys: Iterable[str], everywhere: bool = False) -> None:
        """Asks for the statements of those of `keys` that are not known yet. Conflict.

        everywhere: asks all caches, not only until one has it, so that two results for one key are seen.
        """
        for cache in self.caches:
            rest = [key for key in keys if everywhere or (key not in self._records and key not in self._asked)]
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
            self._asked.update(keys)

    def _take(self, cache: Cache, key: str, unsafe_data: bytes) -> None:
        try:
            records = decode(key, unsafe_data, cache.verify)
        except Refused as error:
            log.info("shared: %s: %.12s: %s", cache.wire.address, key, error)
            return
        with self._guard:
            for action, believed in records.items():
                self._compare(action, believed)
                self._records[action] = believed
                if cache.wire.complete and not believed.mirrored:
                    self._found(cache, believed.record.blobs)
            self._asked |= {key, *records}
            self._stated |= records.keys()
            if key in self._plans:
                self._covered[key] = {*records}

    def _compare(self, key: str, new: Believed) -> None:
        """Raises Conflict if another result is known under `key`."""
        known = self._records.get(key)
        if known is not None and known.record.result != new.record.result:
            raise Conflict(new.record.facts.get("name", f"the action {key[:12]}"), known, new)

    # blobs

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
                self._found(cache, {blob: size for blob, size in unknown.items() if blob not in absent})
                unknown = {blob: size for blob, size in unknown.items() if blob in absent}
        with self._guard:
            self._gone |= unknown.keys()
        return not blobs or (not unknown and self.up)

    def _found(self, cache: Cache, blobs: Mapping[Digest, int]) -> None:
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

    # pushing

    def note_pushed(self, size: int) -> None:
        """Counts a blob of `size` bytes that was pushed."""
        with self._guard:
            self.counts.pushed += 1
            self.counts.up += size

    def note_there(self, cache: Cache, blobs: Mapping[Digest, int]) -> None:
        """Notes that `cache` has `blobs`, also those that had been gone."""
        with self._guard:
            self._gone -= blobs.keys()
            self._found(cache, blobs)

    def note_stated(self, keys: Iterable[str]) -> None:
        """Notes that a cache has a statement with the records of the actions with `keys`."""
        with self._guard:
            self.counts.stated += 1
            self._stated.update(keys)

    def offer(self, store: Store, key: str, record: Record) -> None:
        """Conflict if another result was signed under `key`."""
        stage = record.facts.get("stage", "")
        believed = Believed(record, stage in MIRRORED and not self._everything, self._signer)
        with self._guard:
            self._compare(key, believed)
            if not stage or stage in LOCAL or not self._push.wanted:
                return
            if not self._is_own(record.facts.get(SIGNER, OWNER)):
                return
            if (known := self._records.get(key)) and self._gone.isdisjoint(known.record.blobs):
                return
            self._records[key] = believed
        self._push.add(store, key, believed)

    def give(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        return self._push.give(store, blobs) or self.whole(store, blobs)

    def expect(self, blobs: Mapping[Digest, int]) -> None:
        self.note_there(self.caches[0], blobs)

    def finish(self) -> None:
        if self._push.end(self._wait):
            for plan, actions in self._plans.items():
                stated = {key: self._records[key] for key in actions if key in self._stated}
                records = {key: believed for key, believed in stated.items() if self._is_own(believed.signer)}
                if len(records) > len(self._covered.get(plan, ())):
                    self._push.state(plan, records)
                    self._covered[plan] = {*records}


class _Push:
    """What is pushed: blobs before the statements that name them."""

    def __init__(self, shared: SharedCache) -> None:
        self._shared = shared
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self._done: dict[Digest, threading.Event] = {}
        """Blobs that are being put, or were."""

    @property
    def wanted(self) -> bool:
        return any(cache.pushes for cache in self._shared.caches)

    def add(self, store: Store, key: str, believed: Believed) -> None:
        """Pushes the record and its blobs in another thread, a daemon: the process ends without it."""
        with self._idle:
            self._waiting += 1
            if len(self._threads) < PUSHERS:
                self._threads.append(threading.Thread(target=self._work, name="push", daemon=True))
                self._threads[-1].start()
        self._jobs.put(lambda: self._push(store, key, believed))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except (NodekilnError, OSError) as error:
                log.info("shared: not pushed: %s", error)
            finally:
                with self._idle:
                    self._waiting -= 1
                    self._idle.notify_all()

    def _push(self, store: Store, key: str, believed: Believed) -> None:
        record = believed.record
        if not record.blobs:
            record = record._replace(blobs={blob: store.size(blob) for blob in references(store, record.result)})
            believed = believed._replace(record=record)
        if any(blob.algorithm != "sha256" for blob in record.blobs) or (cache := self._cache) is None:
            return
        try:
            if not believed.mirrored:
                self._put(store, cache, record.blobs)
        except WireError as error:
            cache.refuses(error)
        else:
            self.state(key, {key: believed})

    @property
    def _cache(self) -> Cache | None:
        """The cache that takes what is pushed."""
        return next((cache for cache in self._shared.caches if cache.pushes), None)

    def give(self, store: Store, blobs: Mapping[Digest, int]) -> bool:
        """Puts those of `blobs` that the cache lacks, in this thread; returns whether it has all of them now."""
        if (cache := self._cache) is None or any(blob.algorithm != "sha256" for blob in blobs):
            return False
        try:
            self._put(store, cache, blobs)
        except WireError as error:
            cache.refuses(error)
        except Missing:
            return False
        return cache.pushes

    def _put(self, store: Store, cache: Cache, blobs: Mapping[Digest, int]) -> None:
        """Puts those of `blobs` that the cache lacks, each once. WireError; Missing."""
        with self._idle:
            others = [self._done[blob] for blob in blobs if blob in self._done]
            own = {blob: size for blob, size in blobs.items() if blob not in self._done and blob not in cache.blobs}
            self._done |= {blob: threading.Event() for blob in own}
        try:
            for blob in cache.wire.absent(own) if own else ():
                with store.open_checked(blob) as file:
                    cache.wire.put(blob, own[blob], file)
                self._shared.note_pushed(own[blob])
            self._shared.note_there(cache, own)
        finally:
            with self._idle:
                for blob in own:
                    self._done.pop(blob).set()
        for event in others:
            event.wait()
        if gone := blobs.keys() - cache.blobs:
            raise Missing(min(gone), "was not pushed")

    def state(self, key: str, records: Mapping[str, Believed]) -> None:
        """Pushes the statement `key`, after the blobs of `records`."""
        if (cache := self._cache) is None:
            return
        try:
            cache.wire.state(key, encode(key, records, self._shared.sign))
        except WireError as error:
            cache.refuses(error)
        else:
            self._shared.note_stated(records)

    def end(self, wait: float) -> bool:
        """Waits up to `wait` seconds until all is pushed; returns whether it is. What is left then is not pushed."""
        deadline = time.monotonic() + wait
        with self._idle:
            while self._waiting and (left := deadline - time.monotonic()) > 0:
                self._idle.wait(left)
            self._shared.counts.unpushed = self._waiting
            if self._waiting:
                for cache in self._shared.caches:
                    cache.pushes = False
            return not self._waiting and self._cache is not None


def _unsigned(data: bytes) -> Mapping[str, bytes]:
    return {}


def _signer(path: Path, trusted: dict[str, keys.PublicKey]) -> tuple[str, Sign]:
    """Returns the name of the key in the file `path` and what signs by it; adds it to `trusted`. BadInput.

    Its name is the one under which it is trusted; else that of the file, without its ending.
    """
    try:
        key = signing.load(path.read_bytes())
        public = key.public_key()
        if keys.kind(public) != "Ed25519":
            raise SignatureRefusal("not an Ed25519 key")
    except OSError as error:
        raise BadInput(f"{configuration.SIGN}: {path}: {error.strerror}") from None
    except SignatureRefusal as error:
        raise BadInput(f"{configuration.SIGN}: {path}: {error}: openssl genpkey -algorithm ed25519") from None
    name = next((name for name, each in trusted.items() if keys.encoding(each) == keys.encoding(public)), path.stem)
    if name in trusted and keys.encoding(trusted[name]) != keys.encoding(public):
        raise BadInput(f"{configuration.SIGN}: {path}: {name} is another key in {configuration.TRUST}: rename the file")
    if not NAME.fullmatch(name):
        raise BadInput(f"{configuration.SIGN}: {path}: a signer's name has letters, digits, and .@_- : rename the file")
    trusted[name] = public
    return name, lambda data: {name: signing.sign(key, data)}


def finish_all() -> list[Counts]:
    """Waits for what this process pushes, within a bound, and returns the figures of each cache that was used."""
    for shared in opened:
        shared.finish()
    return [shared.counts for shared in opened if shared.counts.asked or shared.counts.stated]


def _absent(store: Store, record: Record) -> dict[Digest, int]:
    """Returns the blobs (digest -> size in bytes) of `record` that are not in the store itself."""
    blobs = record.blobs or {record.result: record.size}
    return {blob: size for blob, size in blobs.items() if not store.here(blob)}
