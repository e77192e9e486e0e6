"""Staleness: the differences between two records of an action, in words.

A record has `key`, `params` and `inputs` (name -> key), and may have `stage` and `version`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.host.redact import redact
from pipeline.model.json_difference import ABSENT, Change, Pairs, differences

SHOWN = 60
"""Maximum length of a value in a reason, in characters."""
INPUTS = 3
"""Maximum number of changed inputs that a reason names; each has a reason of its own."""
CONTEXT = 15
"""Number of characters shown before the first difference."""
NAMES = ("name", "path", "reference", "image")
"""Keys that identify the items of a list: an item is compared with the one of the same name, wherever it stands."""


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns why an action whose record was `before` has to run as `now`: changed fields, or changed inputs."""
    if same(before, now):
        return "up to date"
    return "; ".join(map(_text, changes(before, now))) or _beyond(before, now)


def same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Returns whether an action with the record `before` need not run as `now`: same key, no damage found since."""
    return before.get("key") == now["key"] and now.get("damage", "") in ("", before.get("damage"))


def summary(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the same in few words without values: `options.env changed`."""
    fields = [_field(change) for change in changes(before, now)]
    return f"{', '.join(fields)} changed" if fields else _beyond(before, now)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Returns the fields of the parameters that differ, with digests in place of secrets, in old records too."""
    return list(differences(redact(before.get("params", {})), redact(now["params"]), _items))


def _text(change: Change) -> str:
    before, now = _around_difference(change.before, change.now)
    return f"{_field(change)}: {_short(before)} -> {_short(now)}"


def _field(change: Change) -> str:
    """The path of a change: `files[etc/motd].contents`."""
    return "".join(f".{key}".replace(".[", "[", 1) for key in change.path).removeprefix(".")


def distance(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Returns the number of fields and inputs that differ."""
    return len(changes(before, now)) + len(changed_inputs(before, now)) + (before.get("version") != now.get("version"))


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns the names of inputs that differ, are new, or are gone."""
    old, new = before.get("inputs", {}), now["inputs"]
    return [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]


def _beyond(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the differences apart from the parameters."""
    inputs = changed_inputs(before, now)
    if inputs:
        more = f" and {len(inputs) - INPUTS} more" if len(inputs) > INPUTS else ""
        return f"input {', '.join(inputs[:INPUTS])}{more} changed"
    if before.get("key") == now["key"]:
        return "damage was found in the cache since"
    return "the stage's own version changed"


def _items(before: Sequence[Any], now: Sequence[Any]) -> Pairs | None:
    """Pairs the items of two lists by name, else by position. Lists without names and of unequal length are values."""
    name = next((name for name in NAMES if _identifies(before, name) and _identifies(now, name)), None)
    if name and (before or now):
        old, new = {item[name]: item for item in before}, {item[name]: item for item in now}
        pairs = [(f"[{item}]", old.get(item, ABSENT), new.get(item, ABSENT)) for item in dict.fromkeys([*old, *new])]
        is_reordered = [*old] != [*new] and old.keys() == new.keys()
        return [*([("[order]", ", ".join(old), ", ".join(new))] if is_reordered else []), *pairs]
    if len(before) == len(now):
        return [(f"[{index}]", *pair) for index, pair in enumerate(zip(before, now, strict=True))]
    return None


def _identifies(items: Sequence[Any], name: str) -> bool:
    names = [item.get(name) if isinstance(item, dict) else None for item in items]
    return all(isinstance(value, str) for value in names) and len(set(names)) == len(names)


def _around_difference(before: Any, now: Any) -> tuple[Any, Any]:
    """Returns the parts of two long texts around their first difference."""
    if not isinstance(before, str) or not isinstance(now, str) or max(len(before), len(now)) < SHOWN:
        return before, now
    same = next((at for at, (old, new) in enumerate(zip(before, now, strict=False)) if old != new), 0)
    start = max(0, same - CONTEXT)
    mark = "…" if start else ""
    return mark + before[start:], mark + now[start:]


def _short(value: Any) -> str:
    text = "(none)" if value is ABSENT else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
