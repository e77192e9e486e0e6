"""Objects of JSON (RFC 8259) whose keys are unique, which readers would otherwise take differently (section 4)."""

from __future__ import annotations

from typing import Any


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the object of these members, as object_pairs_hook of json.loads. ValueError: a key comes twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key comes twice")
    return members
