"""Versions: whether this nodekiln can meet a record at all, or some stage makes other bytes by now, and says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.action import Action, closure


def version(action: Action) -> str:
    """The VERSION of the action's stage: a number or text that changes whenever its bytes do."""
    return str(sys.modules[action.stage.__module__].VERSION)


def changed(entry: Mapping[str, Any], action: Action) -> Iterator[str]:
    """A line for each stage that `entry` (a format in manifest.json) records with another VERSION than it has now."""
    for each in closure(action):
        recorded = entry.get("stages", {}).get(each.name, {}).get("version")
        if recorded is not None and recorded != version(each):
            yield f"{each.name}: made by version {recorded} of {each.stage.__module__}, which is {version(each)} by now"
