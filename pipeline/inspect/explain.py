"""Explanation of why two builds of one format differ: the first stage with another result, and differences in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.inspect.difference import Difference, between, differences
from pipeline.inspect.listings import of_blob, of_result
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.readers.view import HostFile, sha256
from pipeline.store import Store

DIFFOSCOPE_SECONDS = 120
"""Maximum time, in seconds, that diffoscope may take for a format: it unpacks everything, and is optional."""
MOST = 5
"""Maximum number of differences of one stage or file: the first few show the cause, thousands would hide it."""


class BuiltFormat(NamedTuple):
    """A format of one build.

    entry: its entry in manifest.json (`files`, `stages`). file: name -> path of a file, None if there is none.
    store: where its stages' results are, or were; None if they are on another machine.
    """

    entry: Mapping[str, Any]
    file: Callable[[str], Path | None]
    store: Store | None

    def path(self, name: str) -> Path | None:
        """The path of the file `name`; None if there is none, or another format overwrote it."""
        path = self.file(name) if name in self.entry["files"] else None
        same = path is not None and sha256(HostFile(path)) == self.entry["files"][name]["sha256"]
        return path if same else None


class Explanation(NamedTuple):
    """stage: the first whose result differs ("" if that is unknown). inside: differences of its results.

    files: differences of the output files. reports: diffoscope's pages, if it is installed.
    """

    stage: str
    inside: tuple[Difference, ...]
    files: tuple[Difference, ...]
    reports: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The explanation as text, the cause first."""
        lines = [f"the first stage that differs: {self.stage}"] if self.stage else []
        lines += [f"  {difference}" for difference in self.inside]
        lines += [str(difference) for difference in self.files]
        return lines + [f"diffoscope's report: {report}" for report in self.reports]

    def document(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "inside": [difference._asdict() for difference in self.inside],
            "files": [difference._asdict() for difference in self.files],
            "reports": list(self.reports),
        }


def explain(left: BuiltFormat, right: BuiltFormat, reports: Path | None = None) -> Explanation:
    """Explains why `left` and `right` differ. reports: a folder for diffoscope's pages, if they are wanted."""
    stage = next(iter(unequal_stages(left, right)), "")
    inside = tuple(islice(_in_stage(left, right, stage), MOST)) if stage else ()
    files = tuple(islice(_in_files(left, right), MOST))
    return Explanation(stage, inside, files, tuple(_diffoscope(left, right, reports)) if reports else ())


def unequal_stages(left: BuiltFormat, right: BuiltFormat) -> list[str]:
    """The stages that both have and whose results differ, inputs first."""
    ours, theirs = left.entry["stages"], right.entry["stages"]
    return [
        name
        for name in in_order(ours, [built.store for built in (left, right) if built.store])
        if name in theirs and _differ(ours[name]["result"], theirs[name]["result"])
    ]


def _differ(ours: str | None, theirs: str | None) -> bool:
    """Returns True if two results are known, and unequal."""
    return ours is not None and theirs is not None and ours != theirs


def in_order(stages: Mapping[str, Any], stores: list[Store]) -> list[str]:
    """The names of `stages`, inputs first as far as the records of the stores have them, else sorted."""
    inputs: dict[str, list[str]] = {}
    for name, stage in stages.items():
        records = [record for store in stores if (record := store.record(stage["key"]))]
        inputs[name] = sorted(records[0].facts.get("inputs", ())) if records else []
    ordered: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in inputs and name not in ordered:
            for needed in inputs[name]:
                visit(needed)
            ordered[name] = None

    for name in sorted(inputs):
        visit(name)
    return list(ordered)


def _in_stage(left: BuiltFormat, right: BuiltFormat, stage: str) -> Iterator[Difference]:
    """Yields differences of the two results of `stage`; nothing if one of them is gone."""
    digests = [Digest.parse(built.entry["stages"][stage]["result"]) for built in (left, right)]
    if left.store is None or right.store is None:
        return
    if not (left.store.has(digests[0]) and right.store.has(digests[1])):
        return
    ours, theirs = of_result(left.store, digests[0]), of_result(right.store, digests[1])
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        yield from between(ours, theirs)
    elif not isinstance(ours, Mapping) and not isinstance(theirs, Mapping):
        for difference in differences(ours, theirs):
            yield difference
            yield from _behind(left.store, right.store, difference)


def _behind(left: Store, right: Store, difference: Difference) -> Iterator[Difference]:
    """Yields differences of the blobs that a difference names, if it is two digests (an image's layers)."""
    try:
        ours, theirs = (Digest.parse(json.loads(text)) for text in (difference.left, difference.right))
    except (InvalidDigest, ValueError):
        return
    if left.has(ours) and right.has(theirs):
        yield from differences(of_blob(left, ours), of_blob(right, theirs), (*difference.steps, difference.field))


def _in_files(left: BuiltFormat, right: BuiltFormat) -> Iterator[Difference]:
    """Yields differences of the files, in terms of their formats."""
    ours, theirs = left.entry["files"], right.entry["files"]
    for name in _unequal_files(left, right):
        paths = left.path(name), right.path(name)
        if paths[0] and paths[1]:
            yield from islice(differences(HostFile(paths[0]), HostFile(paths[1]), (name,)), MOST)
        else:
            sums = [str(side[name]["sha256"]) if name in side else "(no such file)" for side in (ours, theirs)]
            yield Difference((name,), "sha256", *sums)


def _unequal_files(left: BuiltFormat, right: BuiltFormat) -> list[str]:
    ours, theirs = left.entry["files"], right.entry["files"]
    return [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]


def _diffoscope(left: BuiltFormat, right: BuiltFormat, reports: Path) -> Iterator[str]:
    """Lets diffoscope compare the files; yields its pages. Nothing if it is not installed, or fails."""
    import shutil
    import subprocess

    program = shutil.which("diffoscope")
    for name in _unequal_files(left, right) if program else ():
        paths = left.path(name), right.path(name)
        if not (paths[0] and paths[1]):
            continue
        reports.mkdir(parents=True, exist_ok=True)
        page = reports / f"{name}.html"
        page.unlink(missing_ok=True)
        command = [str(program), "--html", str(page), *map(str, paths)]
        try:
            subprocess.run(command, capture_output=True, timeout=DIFFOSCOPE_SECONDS, check=False)
        except (subprocess.TimeoutExpired, OSError):
            continue
        if page.exists():
            yield str(page)
