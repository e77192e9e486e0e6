"""Runs of a verification: every format is rebuilt from its locked inputs, under conditions that differ on purpose.

Each run has a copy of the project and a store of its own, which starts with the blobs that the lock names and nothing
else. A run is a process (pipeline.inspect.rebuild); some run side by side. All have to agree with each other, and with
the record of an earlier build if there is one.
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
from pipeline.inspect import conditions, copies
from pipeline.inspect.conditions import Conditions
from pipeline.inspect.explain import BuiltFormat, explain
from pipeline.inspect.record import BuildRecord, inside
from pipeline.inspect.verdict import Row
from pipeline.model.digest import Digest
from pipeline.project.project import CACHE, RESULTS, Project
from pipeline.project.results_state import MANIFEST, PROVENANCE
from pipeline.store import Store, locks

OWN = ("NODEKILN_CACHE", "NODEKILN_RESOLVED", "PYTHONPATH", "XDG_CACHE_HOME")
"""Environment variables of the caller that a run does not get: it would share more than it may."""
KEPT = "kept"
"""Prefix of names in cache/verify that are not removed."""
OUTPUT = 4000
"""Maximum length of a failed build's output, in characters: the end, where the error is."""
OUTPUT_FILE = "output.txt"


class Target(NamedTuple):
    """A format on an architecture. task: doit's. folder: of the results, below the spec's; "" for one architecture."""

    format: str
    arch: str
    task: str
    folder: str = ""


class Verification(NamedTuple):
    """The input of all runs: the spec `name` of the project, and `lock`.

    targets: title -> target. diffoscope: explain differences by it, too. blobs: those that a run's store starts with.
    """

    project: Project
    name: str
    lock: Path
    targets: Mapping[str, Target]
    diffoscope: bool = True
    blobs: Sequence[Digest] = ()


class Run(NamedTuple):
    """A started run. used: `wanted` without the conditions that this machine does not have, `left_out`."""

    wanted: Conditions
    used: Conditions
    left_out: str
    place: Path
    temporary: Path
    started: float
    process: subprocess.Popen[bytes]

    @property
    def copy(self) -> Path:
        """Its copy of the project."""
        return _copy(self.place, self.used)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


def verify(
    verification: Verification, runs: Sequence[Conditions], record: BuildRecord | None = None, side_by_side: int = 1
) -> Iterator[Row]:
    """Yields the runs in their order, each compared with the first (or with `record`), as soon as it has ended.

    side_by_side: maximum number of simultaneous runs.
    """
    project, locked = verification.project, copies.locked_blobs(verification.lock)
    verification = verification._replace(blobs=copies.intact(project, locked))
    first: dict[str, BuiltFormat] = {}
    reported = set() if verification.diffoscope else set(verification.targets)
    if record is not None:
        first = _recorded(record, verification)
        yield Row(record.name, "", 0, _sums(first), {})
    lease = _lease(project)
    waiting, running = deque(runs), deque[Run]()
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                running.append(_start(verification, waiting.popleft(), lease.name()))
            row, built = _finish(verification, running[0], first, reported)
            run = running.popleft()
            if record is None and not row.failed and (fault := _other_statement(first, built)):
                row = row._replace(failed=fault)
            if built and len(verification.blobs) < len(locked):
                copies.adopt_fetched(project, run.copy, locked)
                verification = verification._replace(blobs=copies.intact(project, locked))
            if first:
                shutil.rmtree(run.place, ignore_errors=True)
            first = first or built
            reported |= row.explanations.keys()
            yield row
    finally:
        for run in running:
            run.stop()
        lease.end()


def _lease(project: Project) -> locks.Lease:
    """A lease on names of folders for runs, after what killed verifications left is removed."""
    # code runs there: never in a cache that is shared with others
    base = atomic.make_folder(project.root, CACHE, "verify").absolute()
    locks.leases(base, KEPT)
    return locks.Lease(base)


def _start(verification: Verification, wanted: Conditions, place: Path) -> Run:
    """Prepares a copy of the project below `place`, and starts a process that builds there under `wanted`."""
    used, command, left_out = conditions.adapt(wanted, [place.parent, Path(sys.executable), Path(__file__)])
    place.mkdir()
    place.chmod(0o755)
    copy = _copy(place, used)
    copies.prepare(verification.project, copy, used, verification.blobs)
    if verification.lock.exists():
        shutil.copyfile(verification.lock, copy / verification.project.lock_path(verification.name))
    copies.set_owner_and_time(copy, used)
    temporary = _temporary(place, used)
    environment = {name: value for name, value in os.environ.items() if name not in OWN} | used.environment()
    environment |= {"NODEKILN_LOCKED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
    started = time.monotonic()
    with open(place / OUTPUT_FILE, "wb") as output:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "pipeline.inspect.rebuild"], cwd=copy, env=environment, umask=used.umask,
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    tasks = [target.task for target in verification.targets.values()]
    request = json.dumps({"conditions": dataclasses.asdict(used), "targets": tasks})
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # a process that ends at once has an error in its output
        process.stdin.write(request.encode())
    return Run(wanted, used, left_out, place, temporary, started, process)


def _copy(place: Path, used: Conditions) -> Path:
    return place / ("d" * conditions.DEEP if used.long_path else "") / "project"


def _temporary(place: Path, used: Conditions) -> Path:
    """Creates a run's folder for temporary files."""
    parent = conditions.SHARED_MEMORY if used.shared_memory else place
    folder = Path(tempfile.mkdtemp(prefix="nodekiln-", dir=parent))
    if used.other_user and os.getuid() == 0:
        os.chown(folder, conditions.NOBODY, conditions.NOBODY)
    return folder


def _finish(
    verification: Verification, run: Run, first: Mapping[str, BuiltFormat], reported: Container[str]
) -> tuple[Row, dict[str, BuiltFormat]]:
    """Waits for the run's end; returns its row, compared with `first`, and what it built.

    reported: formats that diffoscope need not explain: once for each is enough, as it may take minutes.
    """
    code = run.process.wait()
    seconds = time.monotonic() - run.started
    shutil.rmtree(run.temporary, ignore_errors=True)
    output = (run.place / OUTPUT_FILE).read_text(errors="replace")
    failed = f"exit code {code}: {output[-OUTPUT:].strip()}" if code else ""
    built = {} if failed else _built(run.copy, verification)
    pages = verification.project.results(verification.name) / "diffoscope" / run.wanted.name
    reports = atomic.path_without_symlinks(verification.project.root, str(pages))
    explanations = {
        each: explain(first[each], built[each], None if each in reported else reports)
        for each in verification.targets
        if each in first and each in built and first[each].entry["files"] != built[each].entry["files"]
    }
    name, text = run.wanted.name, run.used.description()
    return Row(name, text, seconds, _sums(built), explanations, failed, run.left_out), built


def _built(copy: Path, verification: Verification) -> dict[str, BuiltFormat]:
    """Title -> the format that a run built."""
    store = Store(copy / CACHE)
    built: dict[str, BuiltFormat] = {}
    for title, target in verification.targets.items():
        folder = copy / RESULTS / verification.name / target.folder
        entry = json.loads((folder / MANIFEST).read_text())["formats"][target.format]
        built[title] = BuiltFormat(entry, inside(folder), store)
    return built


def _other_statement(first: Mapping[str, BuiltFormat], built: Mapping[str, BuiltFormat]) -> str:
    """Returns a line about a provenance that is not that of the first run; "" if there is none."""
    for title in first.keys() & built.keys():
        ours, theirs = (each[title].file(PROVENANCE) for each in (first, built))
        same_files = first[title].entry["files"] == built[title].entry["files"]
        if same_files and ours and theirs and ours.read_bytes() != theirs.read_bytes():
            return f"{theirs.name} of {title} is not that of the first run"
    return ""


def _recorded(record: BuildRecord, verification: Verification) -> dict[str, BuiltFormat]:
    """Title -> the format of the record, for each target that it has."""
    return {
        title: BuiltFormat(entry, partial(record.file, target.arch), verification.project.store)
        for title, target in verification.targets.items()
        if (entry := record.manifests.get(target.arch, {}).get("formats", {}).get(target.format)) is not None
    }


def _sums(built: Mapping[str, BuiltFormat]) -> dict[str, dict[str, str]]:
    """Format -> file -> sha256."""
    files = {name: each.entry["files"] for name, each in built.items()}
    return {name: {file: attributes["sha256"] for file, attributes in each.items()} for name, each in files.items()}
