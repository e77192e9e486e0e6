"""Plan cache: what doit needs of a spec's plan, kept in a file while everything that planning read is unchanged.

A build that has nothing to do then reads no YAML and imports no section and no stage; nor does `doit list`, nor do the
other specs of a fleet when one is built. Tracked inputs (`host.tracked`) and nodekiln's code decide that.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pipeline
from pipeline.host import atomic, checksummed_json, log, tracked

FOLDER = ".plans"
"""Folder below the results, with a file for each spec."""


class Step(NamedTuple):
    """A task of doit: performs the action `action`, or publishes its files as those of the format `format`.

    key: the action's key, "" while the lock lacks something that the format needs. needs: names of other tasks.
    targets: files, relative to the project; folder: their folder. problem: why this node cannot have the format, or "".
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


class CachedPlan(NamedTuple):
    """The tasks of a spec. doc: a line about it. asked: tasks of the formats that it asks for, with what those need."""

    doc: str
    asked: list[str]
    steps: list[Step]

    def shared(self, owners: dict[str, str]) -> CachedPlan:
        """Returns the plan without steps whose actions tasks of earlier specs perform; these take their places.

        owners: the tasks of earlier specs by the keys of their actions; extended by those of this one.
        """
        stages = {step.task: step.key for step in self.steps if step.key and not step.format}
        names = {task: owners[key] for task, key in stages.items() if key in owners}
        for task, key in stages.items():
            owners.setdefault(key, task)
        steps = [step._replace(needs=_renamed(step.needs, names)) for step in self.steps if step.task not in names]
        return CachedPlan(self.doc, _renamed(self.asked, names), steps)


def _renamed(tasks: list[str], names: Mapping[str, str]) -> list[str]:
    """Returns the names of `tasks`, each once, with those that have another one in `names` under that."""
    return [*dict.fromkeys(names.get(task, task) for task in tasks)]


def recall(path: Path, extra: tuple[str, ...], make: Callable[[], CachedPlan]) -> CachedPlan:
    """Returns the plan that the file `path` holds if it is still valid; otherwise calls `make`, and keeps its result.

    extra: formats with tasks although the spec does not ask for them.
    """
    code = _code()
    with contextlib.suppress(OSError):
        found = checksummed_json.load(path.stem, path.read_bytes())
        if found and found["code"] == code and found["extra"] == [*extra] and tracked.unchanged(found["notes"]):
            doc, asked, steps = found["plan"]
            log.debug("plan cache: hit %s", path.stem)
            return CachedPlan(doc, asked, [Step(*step) for step in steps])
    log.debug("plan cache: miss %s: new, or the code or an input has changed", path.stem)
    with tracked.record_inputs() as notes:
        made = make()
    notes = [json.loads(note) for note in dict.fromkeys(map(json.dumps, notes))]  # without repetitions
    data = checksummed_json.dump(path.stem, {"code": code, "extra": extra, "notes": notes, "plan": made})
    with contextlib.suppress(OSError):  # a read-only folder: planned each time
        atomic.make_folder(path.parents[1], path.parent.name)
        atomic.write(path, data)
    return made


@functools.cache
def _code() -> str:
    """Returns a digest of the running code: Python, the machine, and time and size of each of nodekiln's modules."""
    stamps = [sys.version, os.uname().machine]
    folders = [os.path.dirname(pipeline.__file__)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    stamps.append(f"{entry.path} {entry.stat().st_mtime_ns} {entry.stat().st_size}")
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return hashlib.sha256("\n".join(sorted(stamps)).encode()).hexdigest()
