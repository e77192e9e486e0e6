"""JSON (RFC 8259) of strangers: keys are unique, which readers would otherwise take differently (section 4), and values
are nested only so deep (section 9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the object of these members, as object_pairs_hook of json.loads. ValueError: a key comes twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key comes twice")
    return members


def check_depth(value: object, limit: int) -> None:
    """Raises ValueError if arrays and objects in `value` are nested more than `limit` deep. Needs no recursion."""
    level = [value]
    for _ in range(limit):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"nested more than {limit} deep")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
