"""Verify: every format is built again, from nothing but its locked inputs, under conditions that differ on purpose.

Each run has a copy of the project and a store of its own, which starts with the blobs that the lock names and nothing
else. A run is a process of its own (pipeline.verify.rebuild). All runs have to agree with each other, and with a record
of an earlier build where one is given.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import held
from pipeline.compare.explain import Made, explain
from pipeline.digest import Digest
from pipeline.project import CACHE, RESULTS, Project
from pipeline.publish import MANIFEST
from pipeline.readers.view import HostFile, sha256
from pipeline.store import Store
from pipeline.verify import conditions as every
from pipeline.verify.conditions import Conditions
from pipeline.verify.verdict import Row

OWN = ("NODEKILN_CACHE", "NODEKILN_REMOTE", "NODEKILN_RESOLVED", "PYTHONPATH", "XDG_CACHE_HOME")
"""Variables that would let a run share more than it may, or are about the caller."""
KEPT = "kept"
"""What stands in cache/verify under a name that starts so is not removed."""
OUTPUT = 4000
"""Characters of a failed build's output that are shown: the end, where the error is."""


class Record(NamedTuple):
    """A build that was made before: its manifest.json, and where its files and stages may still be."""

    name: str
    manifest: Mapping[str, Any]
    folder: Path
    store: Store | None


def verify(
    project: Project, name: str, targets: Mapping[str, str], runs: Sequence[Conditions], record: Record | None = None
) -> Iterator[Row]:
    """Run after run, each compared with the first (or with `record`) as soon as it is there.

    targets: format (with its architecture's folder, where there are several) -> doit's task.
    """
    base = project.cache.absolute() / "verify"
    base.mkdir(parents=True, exist_ok=True)
    held.leases(base, KEPT)  # removes what killed verifications left
    lock = project.root / project.lock_path(name)
    blobs = {Digest.parse(digest) for digest in locked(json.loads(lock.read_text()))} if lock.exists() else set()
    first: dict[str, Made] = {}
    if record is not None:
        first = _recorded(record, targets)
        yield Row(record.name, "", 0, _sums(first), {})
    lease = held.Lease(base)
    try:
        for wanted in runs:
            place = lease.name()
            row, made = _run(project, name, targets, wanted, place, blobs, first)
            if not first:
                first = made
            else:
                shutil.rmtree(place, ignore_errors=True)
            yield row
    finally:
        lease.end()


def locked(document: Any) -> Iterator[str]:
    """Every digest that a lock names: manifests, configs, layers, packages."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "sha256" and isinstance(value, str):
                yield f"sha256:{value}"
            else:
                yield from locked(value)
    elif isinstance(document, list):
        for value in document:
            yield from locked(value)
    elif isinstance(document, str) and document.startswith(("sha256:", "sha512:")):
        yield document


def _run(
    project: Project, name: str, targets: Mapping[str, str], wanted: Conditions, place: Path, blobs: Iterable[Digest],
    first: Mapping[str, Made],
) -> tuple[Row, dict[str, Made]]:  # fmt: skip
    used, command, left_out = every.possible(wanted, [place.parent, Path(sys.executable), Path(__file__)])
    started = time.monotonic()
    place.mkdir()
    place.chmod(0o755)
    copy = place / ("d" * every.DEEP if used.long_path else "") / "project"
    prepare(project, copy, used, blobs)
    failed = _rebuild(copy, place, used, command, list(targets.values()))
    made = {} if failed else _made(copy, name, targets)
    explanations = {
        each: explain(first[each], made[each], project.root / project.results(name) / "diffoscope" / wanted.name)
        for each in targets
        if each in first and each in made and first[each].entry["files"] != made[each].entry["files"]
    }
    seconds = time.monotonic() - started
    return Row(wanted.name, used.said(), seconds, _sums(made), explanations, failed, left_out), made


def prepare(project: Project, copy: Path, wanted: Conditions, blobs: Iterable[Digest]) -> None:
    """Put a copy of the project's sources into the new folder `copy`, with a store that holds `blobs`, as far as known.

    Each blob is hashed on the way: what is damaged here is fetched anew by the run.
    """

    def skipped(folder: str, names: list[str]) -> list[str]:
        own = (RESULTS, CACHE) if Path(folder) == project.root else ()
        hidden = [name for name in names if name[0] == "." and Path(folder, name).is_dir()]
        return [*hidden, "__pycache__", *own]

    shutil.copytree(project.root, copy, symlinks=True, ignore=skipped)
    store = copy / CACHE / "blobs"
    for digest in sorted(blobs):
        source, target = project.store.path(digest), store / digest.algorithm / digest.hex
        if not source.exists() or digest.algorithm != "sha256" or sha256(HostFile(source)) != digest.hex:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _share(source, target, wanted.hard_links and not wanted.other_user)
    for folder, _, names in os.walk(copy):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            if wanted.other_user and os.getuid() == 0:
                os.chown(path, every.NOBODY, every.NOBODY, follow_symlinks=False)
            if wanted.now is not None and not path.startswith(str(store)):
                os.utime(path, (wanted.now, wanted.now), follow_symlinks=False)


def _share(source: Path, target: Path, link: bool) -> None:
    try:
        if link:
            os.link(source, target)
            return
    except OSError:  # another file system, or links to others' files are forbidden: a copy does
        pass
    shutil.copyfile(source, target)
    os.chmod(target, 0o444)


def _rebuild(copy: Path, place: Path, wanted: Conditions, command: list[str], targets: list[str]) -> str:
    """Build `targets` in `copy` under `wanted`, as a process of `command`; "", or the end of its output if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    environment |= wanted.environment() | {"NODEKILN_LOCKED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    temporary = Path(tempfile.mkdtemp(prefix="nodekiln-", dir=every.SHARED_MEMORY if wanted.shared_memory else place))
    if wanted.other_user and os.getuid() == 0:
        os.chown(temporary, every.NOBODY, every.NOBODY)
    environment["TMPDIR"] = str(temporary)
    try:
        done = subprocess.run(
            [*command, sys.executable, "-m", "pipeline.verify.rebuild"], cwd=copy, env=environment,
            input=json.dumps({"conditions": dataclasses.asdict(wanted), "targets": targets}), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", umask=wanted.umask, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout[-OUTPUT:].strip()}"


def _made(copy: Path, name: str, targets: Iterable[str]) -> dict[str, Made]:
    store = Store(copy / CACHE)
    made: dict[str, Made] = {}
    for target in targets:
        arch, _, form = target.rpartition("/")
        folder = copy / RESULTS / name / arch
        entry = json.loads((folder / MANIFEST).read_text())["formats"][form]
        made[target] = Made(entry, folder, store)
    return made


def _recorded(record: Record, targets: Iterable[str]) -> dict[str, Made]:
    formats = record.manifest["formats"]
    names = ((target, target.rpartition("/")[2]) for target in targets)
    return {target: Made(formats[name], record.folder, record.store) for target, name in names if name in formats}


def _sums(made: Mapping[str, Made]) -> dict[str, dict[str, str]]:
    return {
        name: {file: facts["sha256"] for file, facts in each.entry["files"].items()} for name, each in made.items()
    }
