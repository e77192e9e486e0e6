"""Journal: what the last build did, task by task, in build/.last.json: for `doit graph`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic

NAME = ".last.json"

RAN, RESTORED, UP_TO_DATE, FAILED = OUTCOMES = ("ran", "restored", "up to date", "failed")


class Event(NamedTuple):
    """What became of a task (RAN, RESTORED, UP_TO_DATE, FAILED), and the seconds that it took."""

    outcome: str
    seconds: float


def write(folder: Path, events: Mapping[str, Event]) -> None:
    """Note `events` in `folder`, over what it said of the same tasks; nothing happens where that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / NAME, json.dumps({**read(folder), **events}, indent=0, sort_keys=True))
    except OSError:  # a build does not fail for its diary
        pass


def read(folder: Path) -> dict[str, Event]:
    """What `write` noted; {} if that was nothing that can be read."""
    try:
        found = {task: Event(*event) for task, event in json.loads((folder / NAME).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {task: event for task, event in found.items() if event.outcome in OUTCOMES and type(event.seconds) is float}
