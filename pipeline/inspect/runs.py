"""Verify: every format is built again, from nothing but its locked inputs, under conditions that differ on purpose.

Each run has a copy of the project and a store of its own, which starts with the blobs that the lock names and nothing
else. A run is a process of its own (pipeline.inspect.rebuild); some go side by side. All runs have to agree with each
other, and with a record of an earlier build where one is given.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic
from pipeline.inspect import conditions as every
from pipeline.inspect import copies
from pipeline.inspect.conditions import Conditions
from pipeline.inspect.explain import Made, explain
from pipeline.inspect.record import Record, inside
from pipeline.inspect.verdict import Row
from pipeline.model.digest import Digest
from pipeline.project.project import CACHE, RESULTS, Project
from pipeline.project.publish import MANIFEST
from pipeline.store import Store, locks

OWN = ("NODEKILN_CACHE", "NODEKILN_REMOTE", "NODEKILN_RESOLVED", "PYTHONPATH", "XDG_CACHE_HOME")
"""Variables that would let a run share more than it may, or are about the caller."""
KEPT = "kept"
"""What stands in cache/verify under a name that starts so is not removed."""
OUTPUT = 4000
"""Characters of a failed build's output that are shown: the end, where the error is."""
SAID = "output.txt"


class Target(NamedTuple):
    """A format on an architecture. task: doit's. folder: where the results go, below those of the spec."""

    format: str
    arch: str
    task: str
    folder: str = ""


class Asked(NamedTuple):
    """What every run makes: the spec `name` of the project, from `lock`.

    targets: by what the table calls them. diffoscope: whether it is asked too. blobs: what a run's store starts with.
    """

    project: Project
    name: str
    lock: Path
    targets: Mapping[str, Target]
    diffoscope: bool = True
    blobs: Sequence[Digest] = ()


class Run(NamedTuple):
    """A run that was started. used: `wanted` without what cannot be had here, which `left_out` says."""

    wanted: Conditions
    used: Conditions
    left_out: str
    place: Path
    temporary: Path
    started: float
    process: subprocess.Popen[bytes]

    @property
    def copy(self) -> Path:
        """The copy of the project that it builds in."""
        return _copy(self.place, self.used)


def verify(
    asked: Asked, runs: Sequence[Conditions], record: Record | None = None, side_by_side: int = 1
) -> Iterator[Row]:
    """The runs in their order, each compared with the first (or with `record`), as soon as it is there.

    side_by_side: how many go at a time.
    """
    # code runs there: never in a cache that is shared with others
    base = atomic.make_folder(asked.project.root, CACHE, "verify").absolute()
    locks.leases(base, KEPT)  # removes what killed verifications left
    locked = copies.blobs(asked.lock)
    asked = asked._replace(blobs=copies.whole(asked.project, locked))
    first: dict[str, Made] = {}
    reported = set() if asked.diffoscope else set(asked.targets)
    if record is not None:
        first = _recorded(record, asked)
        yield Row(record.name, "", 0, _sums(first), {})
    lease = locks.Lease(base)
    waiting, running = deque(runs), deque[Run]()
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                running.append(_start(asked, waiting.popleft(), lease.name()))
            row, made = _finish(asked, running[0], first, reported)
            run = running.popleft()
            if made and len(asked.blobs) < len(locked):
                copies.bring_home(asked.project, run.copy, locked)
                asked = asked._replace(blobs=copies.whole(asked.project, locked))
            if first:
                shutil.rmtree(run.place, ignore_errors=True)
            first = first or made
            reported |= row.explanations.keys()
            yield row
    finally:
        for run in running:
            run.process.terminate()
            run.process.wait()
            shutil.rmtree(run.temporary, ignore_errors=True)
        lease.end()


def _start(asked: Asked, wanted: Conditions, place: Path) -> Run:
    """Prepare a copy of the project below `place`, and start a process that builds there under `wanted`."""
    used, command, left_out = every.possible(wanted, [place.parent, Path(sys.executable), Path(__file__)])
    place.mkdir()
    place.chmod(0o755)
    copy = _copy(place, used)
    copies.prepare(asked.project, copy, used, asked.blobs)
    if asked.lock.exists():
        shutil.copyfile(asked.lock, copy / asked.project.lock_path(asked.name))
    copies.hand_over(copy, used)
    temporary = Path(tempfile.mkdtemp(prefix="nodekiln-", dir=every.SHARED_MEMORY if used.shared_memory else place))
    if used.other_user and os.getuid() == 0:
        os.chown(temporary, every.NOBODY, every.NOBODY)
    environment = {name: value for name, value in os.environ.items() if name not in OWN} | used.environment()
    environment |= {"NODEKILN_LOCKED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
    started = time.monotonic()
    with open(place / SAID, "wb") as output:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "pipeline.inspect.rebuild"], cwd=copy, env=environment, umask=used.umask,
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    question = {"conditions": dataclasses.asdict(used), "targets": [target.task for target in asked.targets.values()]}
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # one that ends at once says why in its output
        process.stdin.write(json.dumps(question).encode())
    return Run(wanted, used, left_out, place, temporary, started, process)


def _copy(place: Path, used: Conditions) -> Path:
    return place / ("d" * every.DEEP if used.long_path else "") / "project"


def _finish(asked: Asked, run: Run, first: Mapping[str, Made], reported: Container[str]) -> tuple[Row, dict[str, Made]]:
    """Wait for the run's end; what it made, and how that compares with `first`.

    reported: what diffoscope has said its word about: once a format, which may take it minutes, is enough.
    """
    code = run.process.wait()
    seconds = time.monotonic() - run.started
    shutil.rmtree(run.temporary, ignore_errors=True)
    said = (run.place / SAID).read_text(errors="replace")
    failed = f"exit code {code}: {said[-OUTPUT:].strip()}" if code else ""
    made = {} if failed else _made(run.copy, asked)
    pages = asked.project.results(asked.name) / "diffoscope" / run.wanted.name
    reports = atomic.path_without_symlinks(asked.project.root, str(pages))
    explanations = {
        each: explain(first[each], made[each], None if each in reported else reports)
        for each in asked.targets
        if each in first and each in made and first[each].entry["files"] != made[each].entry["files"]
    }
    return Row(run.wanted.name, run.used.said(), seconds, _sums(made), explanations, failed, run.left_out), made


def _made(copy: Path, asked: Asked) -> dict[str, Made]:
    store = Store(copy / CACHE)
    made: dict[str, Made] = {}
    for title, target in asked.targets.items():
        folder = copy / RESULTS / asked.name / target.folder
        entry = json.loads((folder / MANIFEST).read_text())["formats"][target.format]
        made[title] = Made(entry, inside(folder), store)
    return made


def _recorded(record: Record, asked: Asked) -> dict[str, Made]:
    """What the record says of the targets that it knows."""
    return {
        title: Made(entry, partial(record.file, target.arch), asked.project.store)
        for title, target in asked.targets.items()
        if (entry := record.manifests.get(target.arch, {}).get("formats", {}).get(target.format)) is not None
    }


def _sums(made: Mapping[str, Made]) -> dict[str, dict[str, str]]:
    return {name: {file: facts["sha256"] for file, facts in each.entry["files"].items()} for name, each in made.items()}
