"""Reason: what differs between two records of an action, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 60
"""Characters of a value that a reason shows."""


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why an action whose record was `before` has to run as `now`: the fields that differ, or its changed inputs."""
    if before.get("key") == now["key"]:
        return "up to date"
    fields = list(_fields(before.get("params", {}), now["params"]))
    if fields:
        return "; ".join(fields)
    inputs = [name for name, key in now["inputs"].items() if before.get("inputs", {}).get(name) != key]
    if inputs:
        return f"input {', '.join(inputs)} changed"
    return "the stage's own version changed"


def _fields(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            yield from _fields(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif before != now:
        yield f"{path}: {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
