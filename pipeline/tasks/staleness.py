"""Reason: what differs between two records of an action, in words.

A record of an action says `key`, `params` and `inputs` (name -> key), and may say `stage` and `version`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.host.redact import redact

SHOWN = 60
"""Characters of a value that a reason shows."""
INPUTS = 3
"""Changed inputs that a reason names; each has a reason of its own."""
CONTEXT = 15
"""Characters that are shown before the first one that differs."""
NAMES = ("name", "path", "reference", "image")
"""Keys that tell the items of a list apart: an item is compared with the one of the same name, wherever that was."""
ABSENT = object()


class Change(NamedTuple):
    """One field that differs: where it is inside the parameters, and its values; ABSENT where there is none."""

    field: str
    before: Any
    now: Any

    def __str__(self) -> str:
        before, now = _around_difference(self.before, self.now)
        return f"{self.field}: {_short(before)} -> {_short(now)}"


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why an action whose record was `before` has to run as `now`: the fields that differ, or its changed inputs."""
    if same(before, now):
        return "up to date"
    return "; ".join(map(str, changes(before, now))) or _beyond(before, now)


def same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether an action whose record was `before` need not run as `now`: no damage was found in the store since."""
    return before.get("key") == now["key"] and now.get("damage", "") in ("", before.get("damage"))


def summary(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The same in few words and without values, for one line of a log: `options.env changed`."""
    fields = [change.field for change in changes(before, now)]
    return f"{', '.join(fields)} changed" if fields else _beyond(before, now)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The fields of the parameters that differ; what may be secret in them as digests, in old records too."""
    return list(_fields(redact(before.get("params", {})), redact(now["params"]), ""))


def distance(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """In how many fields and inputs two records differ."""
    return len(changes(before, now)) + len(changed_inputs(before, now)) + (before.get("version") != now.get("version"))


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of the inputs that differ, came, or went."""
    old, new = before.get("inputs", {}), now["inputs"]
    return [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]


def _beyond(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs apart from the parameters."""
    inputs = changed_inputs(before, now)
    if inputs:
        more = f" and {len(inputs) - INPUTS} more" if len(inputs) > INPUTS else ""
        return f"input {', '.join(inputs[:INPUTS])}{more} changed"
    if before.get("key") == now["key"]:
        return "damage was found in the cache since"
    return "the stage's own version changed"


def _fields(before: Any, now: Any, path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            yield from _fields(before.get(name, ABSENT), now.get(name, ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple):
        yield from _items(before, now, path)
    elif before != now or type(before) is not type(now):
        yield Change(path, before, now)


def _items(before: Sequence[Any], now: Sequence[Any], path: str) -> Iterator[Change]:
    name = next((name for name in NAMES if _told_apart(before, name) and _told_apart(now, name)), None)
    if name and (before or now):
        old, new = {item[name]: item for item in before}, {item[name]: item for item in now}
        if [*old] != [*new] and old.keys() == new.keys():
            yield Change(path, [*old], [*new])
        for item in dict.fromkeys([*old, *new]):
            yield from _fields(old.get(item, ABSENT), new.get(item, ABSENT), f"{path}[{item}]")
    elif len(before) == len(now):
        for place, (old_item, new_item) in enumerate(zip(before, now, strict=True)):
            yield from _fields(old_item, new_item, f"{path}[{place}]")
    else:
        yield Change(path, before, now)


def _told_apart(items: Sequence[Any], name: str) -> bool:
    names = [item.get(name) if isinstance(item, dict) else None for item in items]
    return all(isinstance(each, str) for each in names) and len(set(names)) == len(names)


def _around_difference(before: Any, now: Any) -> tuple[Any, Any]:
    """Of two long texts, what stands around the first place where they differ."""
    if not isinstance(before, str) or not isinstance(now, str) or max(len(before), len(now)) < SHOWN:
        return before, now
    same = next((at for at, (old, new) in enumerate(zip(before, now, strict=False)) if old != new), 0)
    start = max(0, same - CONTEXT)
    mark = "…" if start else ""
    return mark + before[start:], mark + now[start:]


def _short(value: Any) -> str:
    text = "(none)" if value is ABSENT else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
