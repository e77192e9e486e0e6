"""Durations of stages, by which an executor decides what is worth sending."""

from __future__ import annotations

import threading
from itertools import islice

from pipeline.engine.action import Call
from pipeline.engine.gc import records
from pipeline.store import Store

RECORDS = 20_000
"""Maximum number of records that are read, a second's work. Their names are hashes, so these are a fair sample."""


class Durations:
    """Seconds that stages took: by the records of a store, read when they are first needed, and by what ran since."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._read = False
        self._last: dict[tuple[str, str], float] = {}
        """Stage and name of an action -> the seconds that it last took."""
        self._longest: dict[str, float] = {}
        """Stage -> the most seconds that any action of it took."""

    def expected(self, store: Store, call: Call) -> float | None:
        """Returns the seconds that `call` can be expected to take: as long as its action last did, else as long as the
        longest action of its stage; None if the stage is unknown."""
        with self._guard:
            if not self._read:
                self._read = True
                self._load(store)
            return self._last.get((call.stage, call.name), self._longest.get(call.stage))

    def add(self, call: Call, seconds: float) -> None:
        """Notes that `call` took `seconds`."""
        with self._guard:
            self._note(call.stage, call.name, seconds)

    def _load(self, store: Store) -> None:
        dated = []
        for path, record in islice(records(store), RECORDS):
            if record is not None and {"stage", "name", "seconds"} <= record.facts.keys():
                facts = record.facts
                dated.append((path.stat().st_mtime, facts["stage"], facts["name"], float(facts["seconds"])))
        for _, stage, name, seconds in sorted(dated):
            self._note(stage, name, seconds)

    def _note(self, stage: str, name: str, seconds: float) -> None:
        self._last[stage, name] = seconds
        self._longest[stage] = max(seconds, self._longest.get(stage, 0.0))
