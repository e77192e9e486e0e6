"""Action: the promise to call a stage.

A stage is a plain function `(store, *inputs: Digest, **params) -> Digest`. An action binds it to its parameters and to
the actions that give its inputs. Two hashes name an action (BuildKit has the same pair):

- its **key** covers the stage, its module's VERSION and that of trees, the parameters and the keys of its inputs, so it
  is known before anything runs and planning is pure;
- its **content key** covers the same with the inputs' results in place of their keys, so a changed input that gave the
  same result stops the change there (Shake's early cut-off).

What a stage gives is the digest of a Tree, or of an image's manifest. Its parameters are JSON values, and it is handed
what was hashed: a Call, which is all that an executor sees.

Nothing in a store is needed for ever. A blob that turns out to be missing or damaged while a stage runs is made again
by the action that made it, and must come out the same (Bazel calls it rewinding).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from pipeline.host.redact import redact
from pipeline.model import columns
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.errors import NodekilnError
from pipeline.store import Damaged, Missing, Store, StoreError
from pipeline.store.references import damage, references

Stage = Callable[..., Digest]
Result = TypeVar("Result")

ATTEMPTS = 4
"""Times that a stage is called while blobs keep getting lost under it: each time, all that is missing is made first."""


class NotReproducible(NodekilnError):
    """A stage that was called again with the same inputs and gave something else."""

    def __init__(self, name: str, before: Digest, now: Digest) -> None:
        super().__init__(
            f"{name}: not reproducible: the same inputs gave {before} before and {now} now;"
            " build again to go on with that"
        )


class Call(NamedTuple):
    """All that decides a result, as plain values: it can go to another process or machine, or be looked up there.

    stage: `module.function`. params: canonical JSON. inputs: results of other calls.
    """

    stage: str
    version: int | str
    params: bytes
    inputs: tuple[Digest, ...]


Executor = Callable[[Store, Call], Digest]
"""Where stages run: makes the call's result, with everything that it refers to, be in the store."""


def here(store: Store, call: Call) -> Digest:
    """The executor that runs the stage in this thread."""
    module, _, name = call.stage.rpartition(".")
    stage = getattr(sys.modules.get(module) or importlib.import_module(module), name)
    result: Digest = stage(store, *call.inputs, **json.loads(call.params))
    return result


@dataclass(frozen=True, eq=False, repr=False)
class Action:
    """One call of a stage.

    name: what a person reads (`services/sshd`); not part of the key.
    stage: a function at the top of a module that has a VERSION.
    where: tells for a path inside the parameters' origin where it stands in a YAML file; not part of the key.
    """

    name: str
    stage: Stage
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Action, ...] = ()
    where: Callable[[tuple[str | int, ...]], str] | None = None

    @property
    def version(self) -> str:
        """The VERSION of the stage's module: it changes whenever the stage's bytes do."""
        return str(sys.modules[self.stage.__module__].VERSION)

    @cached_property
    def key(self) -> str:
        return self.hash([action.key for action in self.inputs])

    def hash(self, inputs: list[str]) -> str:
        """The sha256 (hex) of everything that decides the result, with `inputs` standing for the inputs."""
        call = self.call(())
        head = canonical_json([call.stage, call.version, columns.VERSION, inputs])
        return hashlib.sha256(head + b"\n" + call.params).hexdigest()

    def call(self, inputs: tuple[Digest, ...]) -> Call:
        """What an executor is given, once the inputs' results are known."""
        module, name = self.stage.__module__, self.stage.__name__
        return Call(f"{module}.{name}", sys.modules[module].VERSION, self._params, inputs)

    @cached_property
    def _params(self) -> bytes:
        return canonical_json(self.params)

    def perform(self, store: Store, execute: Executor = here) -> tuple[Digest, bool]:
        """The result's digest, and whether the stage had to run for it. Each action runs once, whoever asks.

        Inputs that were never made, or were collected, are made first. NotReproducible if the result is known but gone,
        and now came out differently.
        """
        if (known := store.recall(self.key)) is not None:
            return known, False
        return using(store, self.inputs, lambda *contents: self._make(store, contents, execute), execute)

    def use(self, store: Store, take: Callable[[Digest], Result], execute: Executor = here) -> Result:
        """What `take` makes of the result; it is called again if something that it needed had to be made again."""
        return using(store, (self,), take, execute)

    def _make(self, store: Store, contents: tuple[Digest, ...], execute: Executor) -> tuple[Digest, bool]:
        same_contents, ran = self.hash(list(contents)), False
        with store.lock(same_contents):
            if (result := store.recall(same_contents)) is None:
                result, ran = self._run(store, contents, execute), True
        if self.inputs and (record := store.record(same_contents)):
            store.remember(self.key, result, self.facts() | {"seconds": record.facts.get("seconds", 0)})
        return result, ran

    def _run(self, store: Store, contents: tuple[Digest, ...], execute: Executor) -> Digest:
        """Call the stage, and note what it gave: it must be what it gave before, if that is known."""
        same_contents = self.hash(list(contents))
        before, started = store.record(same_contents), time.perf_counter()
        result = execute(store, self.call(contents))
        seconds = round(time.perf_counter() - started, 3)
        if before is not None and before.result != result:
            for blob in damage(store, contents):
                raise Damaged(blob)
            store.forget(same_contents)
            raise NotReproducible(self.name, before.result, result)
        store.remember(same_contents, result, self.facts() | {"seconds": seconds})
        return result

    def facts(self) -> dict[str, Any]:
        """What a record says of an action, for `why`, `plan` and `graph`; of what may be secret only digests."""
        call, inputs = self.call(()), {action.name: action.key for action in self.inputs}
        facts: dict[str, Any] = {"name": self.name, "stage": call.stage, "version": call.version}
        return facts | {"params": redact(self.params), "inputs": inputs}

    def _again(self, store: Store, lost: set[Digest], execute: Executor) -> None:
        """Make the result once more, because of blobs that it refers to and that are `lost`."""

        def run(*contents: Digest) -> None:
            same_contents = self.hash(list(contents))
            with store.lock(same_contents):
                if not all(store.has(blob) for blob in lost):
                    self._run(store, contents, execute)

        using(store, self.inputs, run, execute)


def using(store: Store, actions: tuple[Action, ...], take: Callable[..., Result], execute: Executor = here) -> Result:
    """`take(*results)` of `actions`, which are performed first; what proves missing or damaged is made again.

    An error of `take` is looked into: only if all that the results refer to is whole, it is passed on.
    """
    for attempt in range(1, ATTEMPTS + 1):
        results = [action.perform(store, execute)[0] for action in actions]
        try:
            return take(*results)
        except Missing as missing:
            if attempt == ATTEMPTS:
                raise
            lost = {missing.digest}
        except StoreError:
            raise
        except Exception:
            lost = damage(store, results)
            if not lost or attempt == ATTEMPTS:
                raise
        for result in results:
            lost |= references(store, result, missing=True)
        _mend(store, actions, lost, execute)
    raise AssertionError("unreachable")


def _mend(store: Store, actions: tuple[Action, ...], lost: set[Digest], execute: Executor) -> None:
    """Make the blobs `lost` again: each by the first action whose result refers to it."""
    for action in closure(*actions):
        lost = {blob for blob in lost if not store.has(blob)}
        if not lost:
            return
        record = store.record(action.key)
        if record is not None and (its := lost & references(store, record.result)):
            action._again(store, its, execute)


def closure(*actions: Action) -> Iterator[Action]:
    """`actions` and everything that they need, each once, inputs before what uses them."""
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
