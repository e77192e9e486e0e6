"""Versions: whether this nodekiln can meet a record at all, or some stage makes other bytes by now, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.engine.action import Action, closure


def changed(entry: Mapping[str, Any], action: Action) -> Iterator[str]:
    """A line for each stage that `entry` (a format in manifest.json) records with another VERSION than it has now."""
    for each in closure(action):
        recorded = entry.get("stages", {}).get(each.name, {}).get("version")
        if recorded is not None and recorded != each.version:
            yield f"{each.name}: made by version {recorded} of {each.stage.__module__}, which is {each.version} by now"
