"""Budget: `build.budget` says how large outputs and parts may become; what is larger fails the build, with what grew.

    budget: {total: 60M, qcow2-bios: 90M, services/sshd: 8M}

`total` is for every format that is made, a format's name for that one: bytes of its files, holes not counted. A part's
name (`services/sshd`, `kernel`, `init/runc`, `files`) is for the bytes of its files as they are on the node, unpacked,
whatever the format and its compression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.action import Action
from pipeline.digest import Digest
from pipeline.errors import BadInput
from pipeline.plan import Plan
from pipeline.sizes import of_part, outputs
from pipeline.store import Store

TOTAL = "total"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
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
        sizes = _sizes(store, made, name, action, key)
        if sizes is not None and sum(sizes.values()) > allowed:
            where = made.spec.where(("build", "budget", key))
            lines.append(f"{where}: {key} has {shown(sum(sizes.values()))}, {shown(allowed)} are allowed ({name})")
            lines += [f"  {line}" for line in _grown(sizes, _before(store, before, name, key))]
    if lines:
        raise OverBudget("\n".join(lines))


def _allowed(budget: Mapping[str, str]) -> dict[str, int]:
    return {key: int(size.rstrip("KMGT")) * UNITS[size.lstrip("0123456789")] for key, size in budget.items()}


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
        for path, size in sorted(now.items(), key=lambda item: (-item[1], item[0]))[:GROWN]:
            yield f"{shown(size)} {path}"
        return
    steps = {path: size - before.get(path, 0) for path, size in now.items()}
    yield f"since the last build: {signed(sum(now.values()) - sum(before.values()))}"
    for path, step in sorted(steps.items(), key=lambda item: (-item[1], item[0]))[:GROWN]:
        if step > 0:
            yield f"{signed(step)} {path}{'' if path in before else ' (new)'}"


def shown(size: int) -> str:
    """Bytes for people: `8.0 MiB`."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def signed(size: int) -> str:
    return ("+" if size >= 0 else "-") + shown(abs(size))
