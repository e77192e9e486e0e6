"""Last run: the outcome of each task of the last build, kept in build/.last.json for `doit graph`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic

NAME = ".last.json"

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
