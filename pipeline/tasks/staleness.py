"""Reason: what differs between two records of an action, in words.

A record of an action says `key`, `params` and `inputs` (name -> key), and may say `stage` and `version`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.host.redact import redact
from pipeline.model.json_difference import ABSENT, Change, Pairs, differences

SHOWN = 60
"""Characters of a value that a reason shows."""
INPUTS = 3
"""Changed inputs that a reason names; each has a reason of its own."""
CONTEXT = 15
"""Characters that are shown before the first one that differs."""
NAMES = ("name", "path", "reference", "image")
"""Keys that tell the items of a list apart: an item is compared with the one of the same name, wherever that was."""


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why an action whose record was `before` has to run as `now`: the fields that differ, or its changed inputs."""
    if same(before, now):
        return "up to date"
    return "; ".join(map(_text, changes(before, now))) or _beyond(before, now)


def same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether an action whose record was `before` need not run as `now`: no damage was found in the store since."""
    return before.get("key") == now["key"] and now.get("damage", "") in ("", before.get("damage"))


def summary(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The same in few words and without values, for one line of a log: `options.env changed`."""
    fields = [_field(change) for change in changes(before, now)]
    return f"{', '.join(fields)} changed" if fields else _beyond(before, now)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The fields of the parameters that differ; what may be secret in them as digests, in old records too."""
    return list(differences(redact(before.get("params", {})), redact(now["params"]), _items))


def _text(change: Change) -> str:
    before, now = _around_difference(change.before, change.now)
    return f"{_field(change)}: {_short(before)} -> {_short(now)}"


def _field(change: Change) -> str:
    """The path of a change: `files[etc/motd].contents`."""
    return "".join(f".{key}".replace(".[", "[", 1) for key in change.path).removeprefix(".")


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


def _items(before: Sequence[Any], now: Sequence[Any]) -> Pairs | None:
    """Pairs the items of two lists by name, else by position. Lists without names and of unequal length are values."""
    name = next((name for name in NAMES if _told_apart(before, name) and _told_apart(now, name)), None)
    if name and (before or now):
        old, new = {item[name]: item for item in before}, {item[name]: item for item in now}
        pairs = [(f"[{item}]", old.get(item, ABSENT), new.get(item, ABSENT)) for item in dict.fromkeys([*old, *new])]
        is_reordered = [*old] != [*new] and old.keys() == new.keys()
        return [*([("[order]", ", ".join(old), ", ".join(new))] if is_reordered else []), *pairs]
    if len(before) == len(now):
        return [(f"[{index}]", *pair) for index, pair in enumerate(zip(before, now, strict=True))]
    return None


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
