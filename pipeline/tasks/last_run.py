"""Last run: the outcome of each task of the last build, kept in build/.last.json for `doit graph`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic

NAME = ".last.json"
SHARED = ".shared.json"
"""File of the figures of shared caches."""
SHARED_BUILDS = 20
"""Builds of which figures of shared caches are kept: the last ones."""

RAN, RESTORED, UP_TO_DATE, FAILED = OUTCOMES = ("ran", "restored", "up to date", "failed")


class Event(NamedTuple):
    """The outcome of a task (RAN, RESTORED, UP_TO_DATE, FAILED), and its duration in seconds."""

    outcome: str
    seconds: float


def write(folder: Path, events: Mapping[str, Event]) -> None:
    """Adds `events` to the record in `folder`. A folder that cannot be written to is no error."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / NAME, json.dumps({**read(folder), **events}, indent=0, sort_keys=True))
    except OSError:  # a build does not fail because of its record
        pass


def read(folder: Path) -> dict[str, Event]:
    """Returns the events that `write` recorded; {} if they cannot be read."""
    try:
        events = {task: Event(*event) for task, event in json.loads((folder / NAME).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {task: event for task, event in events.items() if event.outcome in OUTCOMES and type(event.seconds) is float}


def write_shared(folder: Path, counts: Sequence[Mapping[str, int]]) -> None:
    """Adds the figures of the shared caches of a build (pipeline.shared.cache.Counts) to the record in `folder`."""
    if not counts:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / SHARED, json.dumps([*read_shared(folder), *counts][-SHARED_BUILDS:]))
    except OSError:  # a build does not fail because of its record
        pass


def read_shared(folder: Path) -> list[dict[str, int]]:
    """Returns the figures that `write_shared` recorded, the last build's last; [] if they cannot be read."""
    try:
        counts = json.loads((folder / SHARED).read_bytes())
        return [{str(name): int(value) for name, value in each.items()} for each in counts]
    except (OSError, ValueError, TypeError, AttributeError):
        return []
