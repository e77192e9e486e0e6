"""Outline: what doit has to know of a spec's plan, remembered for as long as all that the plan was made of is the same.

A build that has nothing to do then reads no YAML, knows no section and imports no stage; so it is with `doit list`, and
with the other specs of a fleet when one is built. What the plan read is recorded (`host.tracked`) and compared; its
other input is the code.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pipeline
from pipeline.host import atomic, checksummed_json, tracked

MEMORY = ".outlines"
"""Folder of the results; a file for each spec."""


class Step(NamedTuple):
    """A task: that of the action `action`, or of the files of the format `format`, which that action gives.

    key: of the action; empty as long as the lock lacks what the format needs. needs: names of tasks. targets: files,
    relative to the project; folder: where they go. problem: the reason why this node cannot have the format, "" where
    it can.
    """

    task: str
    arch: str
    action: str
    format: str
    key: str
    needs: list[str]
    doc: str
    targets: list[str]
    folder: str = ""
    problem: str = ""


class Outline(NamedTuple):
    """doc: one line about the spec. asked: the tasks of the formats that the spec asks for."""

    doc: str
    asked: list[str]
    steps: list[Step]


def recall(path: Path, extra: tuple[str, ...], make: Callable[[], Outline]) -> Outline:
    """The outline that the file `path` remembers, if it is that of today; otherwise what `make` gives: remembered now.

    extra: formats that are outlined though the spec does not ask for them.
    """
    code = _code()
    with contextlib.suppress(OSError):
        found = checksummed_json.load(path.stem, path.read_bytes())
        if found and found["code"] == code and found["extra"] == [*extra] and tracked.unchanged(found["notes"]):
            doc, asked, steps = found["outline"]
            return Outline(doc, asked, [Step(*step) for step in steps])
    with tracked.record_inputs() as notes:
        outline = make()
    notes = [json.loads(note) for note in dict.fromkeys(map(json.dumps, notes))]  # each once
    data = checksummed_json.dump(path.stem, {"code": code, "extra": extra, "notes": notes, "outline": outline})
    with contextlib.suppress(OSError):  # where it cannot be written, it is made each time
        atomic.make_folder(path.parents[1], path.parent.name)
        atomic.write(path, data)
    return outline


@functools.cache
def _code() -> str:
    """Which nodekiln, Python and machine this is: of every module, when it was written and how long it is."""
    facts = [sys.version, os.uname().machine]
    folders = [os.path.dirname(pipeline.__file__)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    facts.append(f"{entry.path} {entry.stat().st_mtime_ns} {entry.stat().st_size}")
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return hashlib.sha256("\n".join(sorted(facts)).encode()).hexdigest()
