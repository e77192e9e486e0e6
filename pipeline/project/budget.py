"""Budgets: `build.budget` limits the size of outputs and components; a larger one fails the build, with what grew.

    budget: {total: 60M, qcow2-bios: 90M, services/sshd: 8M}

`total` applies to every format that is built, a format's name to that one: bytes of its files without holes. A
component's name (`services/sshd`, `kernel`, `init/runc`, `files`) applies to the bytes of its files on the node:
unpacked, whatever the format and its compression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline import formats
from pipeline.engine.action import Action
from pipeline.language.problem import suggestion
from pipeline.model import size
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.planning.plan import Plan

TOTAL = "total"
GROWN = 8
"""Maximum number of files that a message names: those that grew most."""


class OverBudget(BadInput):
    """Something is larger than the spec allows."""


def check(store: Store, plan: Plan, name: str, action: Action, before: Mapping[str, Any] | None = None) -> None:
    """Holds the format `name`, the result of `action`, and its components against the spec's budget, or raises
    OverBudget.

    before: the format's entry in the last build's manifest.json, to name what has grown since.
    """
    lines: list[str] = []
    for key, text in (plan.spec.build.budget or {}).items():
        where, limit = plan.spec.where(("build", "budget", key)), size.parse(text)
        components = {component.name: component for component in plan.products.rootfs.inputs}
        if key in (TOTAL, name):
            owner, measure = action, _output_sizes
        elif key in components:
            owner, measure = components[key], _file_sizes
        elif formats.known(key):
            continue
        else:
            raise BadInput(f"{where}: there is no {key!r} to have a budget ({_hint(key, [*components])})")
        sizes = measure(store, owner.perform(store)[0])
        if (used := sum(sizes.values())) > limit:
            lines.append(f"{where}: {key} has {size.shown(used)}, {size.shown(limit)} are allowed ({name})")
            last = _last_result(store, before, owner.name)
            lines += [f"  {line}" for line in _growth(sizes, measure(store, last) if last else {})]
    if lines:
        raise OverBudget("\n".join(lines))


def _hint(key: str, components: list[str]) -> str:
    known = f"there are {TOTAL}, the formats, and {', '.join(components)}"
    return suggestion(key, [TOTAL, *components, *formats.names()]) or known


def _file_sizes(store: Store, result: Digest) -> dict[str, int]:
    """Path -> bytes of each file of a component."""
    return {path: file.size for path, file in store.tree(result).unique_files().items()}


def _output_sizes(store: Store, result: Digest) -> dict[str, int]:
    """Suffix -> bytes of each file of a format, without holes."""
    return {
        suffix: sum(piece.length for piece in file.content if piece.blob is not None)
        for suffix, file in store.tree(result).files().items()
    }


def _last_result(store: Store, entry: Mapping[str, Any] | None, stage: str) -> Digest | None:
    """The result of `stage` in the last build, if the store still has it."""
    result = (entry or {}).get("stages", {}).get(stage, {}).get("result")
    return Digest.parse(result) if result and store.has(Digest.parse(result)) else None


def _growth(now: Mapping[str, int], before: Mapping[str, int]) -> Iterator[str]:
    """Lines that name what grew since the last build; the largest files if there is none to compare with."""
    if not before:
        for path, count in size.largest_first(now)[:GROWN]:
            yield f"{size.shown(count)} {path}"
        return
    steps = {path: count - before.get(path, 0) for path, count in now.items()}
    yield f"since the last build: {_signed(sum(now.values()) - sum(before.values()))}"
    for path, step in size.largest_first(steps)[:GROWN]:
        if step > 0:
            yield f"{_signed(step)} {path}{'' if path in before else ' (new)'}"


def _signed(step: int) -> str:
    return ("+" if step >= 0 else "-") + size.shown(abs(step))
