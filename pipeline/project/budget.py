"""Budget: `build.budget` says how large outputs and parts may become; what is larger fails the build, with what grew.

    budget: {total: 60M, qcow2-bios: 90M, services/sshd: 8M}

`total` is for every format that is made, a format's name for that one: bytes of its files, holes not counted. A part's
name (`services/sshd`, `kernel`, `init/runc`, `files`) is for the bytes of its files as they are on the node, unpacked,
whatever the format and its compression.
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
from pipeline.model.tree import Entry, File
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.planning.plan import Plan

TOTAL = "total"
GROWN = 8
"""Files that are named as what grew: the largest steps."""


class OverBudget(BadInput):
    """Something is larger than the spec allows."""


def check(store: Store, made: Plan, name: str, action: Action, before: Mapping[str, Any] | None = None) -> None:
    """Hold the format `name` (what `action` gave) and its parts against the spec's budget, or raise OverBudget.

    before: what manifest.json says of the format's last build, to name what has grown since.
    """
    budget = made.spec.build.budget or {}
    lines: list[str] = []
    for key, allowed in _allowed(budget).items():
        _refuse_unknown(made, key)
        sizes = _sizes(store, made, name, action, key)
        if sizes is not None and sum(sizes.values()) > allowed:
            where = made.spec.where(("build", "budget", key))
            used = size.shown(sum(sizes.values()))
            lines.append(f"{where}: {key} has {used}, {size.shown(allowed)} are allowed ({name})")
            lines += [f"  {line}" for line in _grown(sizes, _before(store, before, name, key))]
    if lines:
        raise OverBudget("\n".join(lines))


def _refuse_unknown(made: Plan, key: str) -> None:
    """BadInput for a key that no format and no part of the spec has: it would never be held against anything."""
    parts = [part.name for part in made.products["rootfs"].inputs]
    if key != TOTAL and key not in parts and not formats.known(key):
        where = made.spec.where(("build", "budget", key))
        known = f"there are {TOTAL}, the formats, and {', '.join(parts)}"
        hint = suggestion(key, [TOTAL, *parts, *formats.names()]) or known
        raise BadInput(f"{where}: there is no {key!r} to have a budget ({hint})")


def of_part(tree: Mapping[str, Entry]) -> dict[str, int]:
    """Path -> bytes of each file of a part; of hard links, one."""
    return {path: entry.size for path, entry in tree.items() if type(entry) is File and entry.inode in ("", path)}


def outputs(store: Store, result: Digest) -> dict[str, int]:
    """Suffix -> bytes of each file that a format gave, holes not counted."""
    return {
        suffix: sum(piece.length for piece in entry.content if piece.blob is not None)
        for suffix, entry in store.tree(result).items()
        if type(entry) is File
    }


def _allowed(budget: Mapping[str, str]) -> dict[str, int]:
    return {key: size.parse(text) for key, text in budget.items()}


def _sizes(store: Store, made: Plan, name: str, action: Action, key: str) -> dict[str, int] | None:
    """Bytes by file of what `key` is about; None if it is about something else than this format."""
    if key in (TOTAL, name):
        return outputs(store, action.perform(store)[0])
    part = next((part for part in made.products["rootfs"].inputs if part.name == key), None)
    return None if part is None else of_part(store.tree(part.perform(store)[0]))


def _before(store: Store, entry: Mapping[str, Any] | None, name: str, key: str) -> dict[str, int]:
    """Bytes by file in the last build, as far as the store still knows."""
    stage = f"format/{name}" if key in (TOTAL, name) else key
    result = (entry or {}).get("stages", {}).get(stage, {}).get("result")
    if not result or not store.has(digest := Digest.parse(result)):
        return {}
    return outputs(store, digest) if key in (TOTAL, name) else of_part(store.tree(digest))


def _grown(now: Mapping[str, int], before: Mapping[str, int]) -> Iterator[str]:
    """What has grown since the last build; the largest files where there is none to compare with."""
    if not before:
        for path, count in sorted(now.items(), key=lambda item: (-item[1], item[0]))[:GROWN]:
            yield f"{size.shown(count)} {path}"
        return
    steps = {path: count - before.get(path, 0) for path, count in now.items()}
    yield f"since the last build: {signed(sum(now.values()) - sum(before.values()))}"
    for path, step in sorted(steps.items(), key=lambda item: (-item[1], item[0]))[:GROWN]:
        if step > 0:
            yield f"{signed(step)} {path}{'' if path in before else ' (new)'}"


def signed(step: int) -> str:
    return ("+" if step >= 0 else "-") + size.shown(abs(step))
