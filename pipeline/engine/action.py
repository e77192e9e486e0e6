"""Actions: promises to call a stage.

A stage is a plain function `(store, *inputs: Digest, **params) -> Digest`; its result is the digest of a Tree or of an
image's manifest. An action binds it to JSON parameters and to the actions whose results are its inputs. Two hashes
identify an action (BuildKit has the same pair):

- its **key** covers the stage, the VERSIONs of its module and of trees, the parameters and the inputs' keys, so it is
  known before anything runs and planning is pure;
- its **content key** covers the same with the inputs' results in place of their keys, so a changed input with the same
  result stops the change there (Shake's early cut-off).

Nothing in a store is irreplaceable. A blob that proves missing or damaged while a stage runs is made again by the
action that made it, and must come out the same (Bazel's action rewinding).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from pipeline.host import log
from pipeline.host.redact import redact
from pipeline.model import columns
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.errors import NodekilnError
from pipeline.store import Damaged, Missing, Store, StoreError
from pipeline.store.references import blobs_of, damage, references

Stage = Callable[..., Digest]
Result = TypeVar("Result")

ATTEMPTS = 4
"""Maximum calls of a stage that lose the same blobs again; before each, everything missing is made again. Each blob may
be lost once without counting: any of those that are elsewhere (pipeline.store.beyond) may go at any moment."""


class NotReproducible(NodekilnError):
    """A stage gave another result for the same inputs than before."""

    def __init__(self, name: str, before: Digest, now: Digest) -> None:
        super().__init__(
            f"{name}: not reproducible: the same inputs gave {before} before and {now} now;"
            " build again to go on with that"
        )


class Call(NamedTuple):
    """All that decides a result, as plain values that can be sent to another process or machine.

    stage: `module.function`. params: canonical JSON. inputs: results of other calls. name: the action's, for people and
    for estimates; decides nothing.
    """

    stage: str
    version: int | str
    params: bytes
    inputs: tuple[Digest, ...]
    name: str = ""

    def hash(self, inputs: Sequence[str]) -> str:
        """Returns the SHA-256 (hex) of everything that decides the result. inputs: keys or results of the inputs."""
        head = canonical_json([self.stage, self.version, columns.VERSION, inputs])
        return hashlib.sha256(head + b"\n" + self.params).hexdigest()

    @property
    def key(self) -> str:
        """The content key of the call's action."""
        return self.hash(self.inputs)


Executor = Callable[[Store, Call], Digest]
"""Runs a call: afterwards its result, and everything that this refers to, is in the store."""


def run_locally(store: Store, call: Call) -> Digest:
    """Runs the stage in this thread."""
    module, _, name = call.stage.rpartition(".")
    stage = getattr(importlib.import_module(module), name)  # waits for another thread that is importing it
    result: Digest = stage(store, *call.inputs, **json.loads(call.params))
    return result


@dataclass(frozen=True, eq=False, repr=False)
class Action:
    """One call of a stage.

    name: what a person reads (`services/sshd`); not part of the key.
    stage: a function at the top of a module that has a VERSION.
    where: returns the place in a YAML file of a path in the parameters' origin; not part of the key.
    """

    name: str
    stage: Stage
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Action, ...] = ()
    where: Callable[[tuple[str | int, ...]], str] | None = None

    @property
    def version(self) -> str:
        """The VERSION of the stage's module, which changes whenever the stage's bytes do."""
        return str(sys.modules[self.stage.__module__].VERSION)

    @cached_property
    def key(self) -> str:
        return self.hash([action.key for action in self.inputs])

    def hash(self, inputs: list[str]) -> str:
        """Returns the SHA-256 (hex) of everything that decides the result. inputs: keys or results of the inputs."""
        return self.call(()).hash(inputs)

    def call(self, inputs: tuple[Digest, ...]) -> Call:
        """Returns the call for an executor. inputs: results of the inputs."""
        module, name = self.stage.__module__, self.stage.__name__
        return Call(f"{module}.{name}", sys.modules[module].VERSION, self._params, inputs, self.name)

    @cached_property
    def _params(self) -> bytes:
        return canonical_json(self.params)

    def perform(self, store: Store, execute: Executor = run_locally) -> tuple[Digest, bool]:
        """Returns the result's digest, and whether the stage ran for it. Inputs that are not there are made first.

        NotReproducible if an earlier result is recorded but gone, and the new one differs.
        """
        if (known := store.recall(self.key, self.facts)) is not None:
            log.debug("cache: hit %s: key %.12s -> %s", self.name, self.key, known)
            return known, False
        why = "its result is gone" if store.record(self.key) else "it was never made"
        log.debug("cache: miss %s: key %.12s: %s", self.name, self.key, why)
        return with_results(store, self.inputs, lambda *contents: self._make(store, contents, execute), execute)

    def use(self, store: Store, take: Callable[[Digest], Result], execute: Executor = run_locally) -> Result:
        """Returns `take(result)`, which is called again if blobs that it needs had to be made again."""
        return with_results(store, (self,), take, execute)

    def _make(self, store: Store, contents: tuple[Digest, ...], execute: Executor) -> tuple[Digest, bool]:
        same_contents, ran = self.hash(list(contents)), False
        with store.lock(same_contents):
            if (result := store.recall(same_contents, self.facts)) is not None:
                log.info("cache: hit %s: its inputs changed, but not their contents (%.12s)", self.name, same_contents)
            else:
                result, ran = self._run(store, contents, execute), True
        if self.inputs and (record := store.record(same_contents)):
            facts = self.facts() | {"seconds": record.facts.get("seconds", 0)}
            store.keep(self.key, record._replace(facts=facts))
        return result, ran

    def _run(self, store: Store, contents: tuple[Digest, ...], execute: Executor) -> Digest:
        """Calls the stage and records its result, which must be the earlier one if that is recorded."""
        same_contents = self.hash(list(contents))
        before, started = store.record(same_contents), time.perf_counter()
        result = execute(store, self.call(contents))
        seconds = round(time.perf_counter() - started, 3)
        log.info("ran %s in %.3f s: %s", self.name, seconds, result)
        if before is not None and before.result != result:
            for blob in damage(store, contents):
                raise Damaged(blob)
            store.forget(same_contents)
            log.info("cache: forgot %s: it gave %s before", self.name, before.result)
            raise NotReproducible(self.name, before.result, result)
        store.remember(same_contents, result, self.facts() | {"seconds": seconds})
        return result

    def facts(self) -> dict[str, Any]:
        """Returns the facts of a record of this action; of parameters that may be secret only digests."""
        call, inputs = self.call(()), {action.name: action.key for action in self.inputs}
        facts: dict[str, Any] = {"name": self.name, "stage": call.stage, "version": call.version}
        return facts | {"params": redact(self.params), "inputs": inputs}

    def _rewind(self, store: Store, lost: set[Digest], execute: Executor) -> None:
        """Makes the result once more, because blobs that it refers to are `lost`."""

        def run(*contents: Digest) -> None:
            same_contents = self.hash(list(contents))
            with store.lock(same_contents):
                if not all(store.has(blob) for blob in lost):
                    self._run(store, contents, execute)

        with_results(store, self.inputs, run, execute)


def with_results(
    store: Store, actions: tuple[Action, ...], take: Callable[..., Result], execute: Executor = run_locally
) -> Result:
    """Performs `actions` and returns `take(*results)`. Blobs that prove missing or damaged are made again.

    After an error of `take`, the blobs that the results refer to are verified; it is raised only if all are whole.
    """
    attempt, before = 1, set[Digest]()
    while True:
        results = [action.perform(store, execute)[0] for action in actions]
        try:
            return take(*results)
        except Missing as missing:
            lost = {missing.digest}
            attempt += not before.isdisjoint(lost)
            if attempt == ATTEMPTS:
                raise
        except StoreError:
            raise
        except Exception as error:
            log.debug("checking %d results after %s: %s", len(results), type(error).__name__, error)
            lost = damage(store, results)
            attempt += not before.isdisjoint(lost)
            if not lost or attempt == ATTEMPTS:
                raise
        before |= lost
        for result in results:
            lost |= references(store, result, missing=True)
        _rebuild_lost(store, actions, lost, execute)


def _rebuild_lost(store: Store, actions: tuple[Action, ...], lost: set[Digest], execute: Executor) -> None:
    """Makes the blobs `lost` again, each by the first action whose result refers to it."""
    for action in closure(*actions):
        lost = {blob for blob in lost if not store.has(blob)}
        if not lost:
            return
        record = store.record(action.key)
        if record is not None and (own := lost & blobs_of(store, record)):
            log.info("rewinding %s: %d blobs are missing or damaged", action.name, len(own))
            action._rewind(store, own, execute)


def closure(*actions: Action) -> Iterator[Action]:
    """Yields `actions` and everything that they need, each once, inputs first."""
    seen: set[int] = set()

    def visit(action: Action) -> Iterator[Action]:
        if id(action) in seen:
            return
        seen.add(id(action))
        for needed in action.inputs:
            yield from visit(needed)
        yield action

    for action in actions:
        yield from visit(action)
