"""Action: the promise to call a stage.

A stage is a plain function `(store, *inputs: Digest, **params) -> Digest`. An action binds it to its parameters and to
the actions that give its inputs. Two hashes name an action (BuildKit has the same pair):

- its **key** covers the stage, its module's VERSION, the parameters and the keys of its inputs, so it is known before
  anything runs and planning is pure;
- its **content key** covers the same with the inputs' results in place of their keys, so a changed input that gave the
  same result stops the change there (Shake's early cut-off).

What a stage gives is the digest of a Tree, or of an image's manifest. Its parameters are JSON values.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.digest import Digest, canonical_json
from pipeline.store import Store

Stage = Callable[..., Digest]


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def key(self) -> str:
        return self.hash([action.key for action in self.inputs])

    def hash(self, inputs: list[str]) -> str:
        """The sha256 (hex) of everything that decides the result, with `inputs` standing for the inputs."""
        module, name = self.stage.__module__, self.stage.__name__
        version = sys.modules[module].VERSION
        return hashlib.sha256(canonical_json([module, name, version, self.params, inputs])).hexdigest()

    def perform(self, store: Store) -> tuple[Digest, bool]:
        """The result's digest, and whether the stage had to run for it. Each action runs once, whoever asks.

        Inputs that were never made, or were collected, are made first.
        """
        if (known := store.recall(self.key)) is not None:
            return known, False
        contents = [action.perform(store)[0] for action in self.inputs]
        same_contents = self.hash(list(contents))
        with store.lock(same_contents):
            result, ran = store.recall(same_contents), False
            if result is None:
                result, ran = self.stage(store, *contents, **self.params), True
                store.remember(same_contents, result)
        store.remember(self.key, result)
        return result, ran


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
