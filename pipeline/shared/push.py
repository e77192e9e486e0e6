"""Push: what this machine made goes to a cache, beside the build."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

from pipeline.host import log
from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError
from pipeline.shared.blobs import Blobs
from pipeline.shared.cache import Cache
from pipeline.shared.records import Records
from pipeline.shared.signer import Sign
from pipeline.shared.statement import Believed, encode
from pipeline.shared.wire import WireError
from pipeline.store import Missing, Store
from pipeline.store.references import references

PUSHERS = 8
"""Threads that push."""


class Push:
    """A queue of records that threads push: the blobs of each before the statement that names them."""

    def __init__(self, blobs: Blobs, records: Records, sign: Sign) -> None:
        self._blobs, self._records, self._sign = blobs, records, sign
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self._putting: dict[Digest, threading.Event] = {}
        """Blobs that are being put, each with the event of its end."""

    @property
    def wanted(self) -> bool:
        return any(cache.pushes for cache in self._blobs.caches)

    def add(self, store: Store, key: str, believed: Believed) -> None:
        """Pushes the record and its blobs in another thread, a daemon: the process ends without it."""
        with self._idle:
            self._waiting += 1
            if len(self._threads) < PUSHERS:
                self._threads.append(threading.Thread(target=self._work, name="push", daemon=True))
                self._threads[-1].start()
        self._jobs.put(lambda: self._push(store, key, believed))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except (NodekilnError, OSError) as error:
                log.info("shared: not pushed: %s", error)
            finally:
                with self._idle:
                    self._waiting -= 1
                    self._idle.notify_all()

    def close(self) -> None:
        """Ends the threads, each after what it is pushing."""
        for _ in self._threads:
            self._jobs.put(None)

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
        return next((cache for cache in self._blobs.caches if cache.pushes), None)

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
            others = [self._putting[blob] for blob in blobs if blob in self._putting]
            own = {blob: size for blob, size in blobs.items() if blob not in self._putting and blob not in cache.blobs}
            self._putting |= {blob: threading.Event() for blob in own}
        try:
            for blob in cache.wire.absent(own) if own else ():
                with store.open_checked(blob) as file:
                    cache.wire.put(blob, own[blob], file)
                self._blobs.note_pushed(own[blob])
            self._blobs.note_there(cache, own)
        finally:
            with self._idle:
                for blob in own:
                    self._putting.pop(blob).set()
        for event in others:
            event.wait()
        if gone := blobs.keys() - cache.blobs:
            raise Missing(min(gone), "was not pushed")

    def state(self, key: str, records: Mapping[str, Believed]) -> None:
        """Pushes the statement `key`, after the blobs of `records`."""
        if (cache := self._cache) is None:
            return
        try:
            cache.wire.state(key, encode(key, records, self._sign))
        except WireError as error:
            cache.refuses(error)
        else:
            self._records.note_stated(records)

    def end(self, wait: float) -> bool:
        """Waits up to `wait` seconds until all is pushed; returns whether it is. What is left then is not pushed."""
        deadline = time.monotonic() + wait
        with self._idle:
            while self._waiting and (left := deadline - time.monotonic()) > 0:
                self._idle.wait(left)
            self._blobs.counts.unpushed = self._waiting
            if self._waiting:
                for cache in self._blobs.caches:
                    cache.pushes = False
            return not self._waiting and self._cache is not None
