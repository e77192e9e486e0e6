"""Explain: two makings of one format that are unequal. Stages are compared before files: the first one whose result
differs is where it began, and what it gave says what began there.
"""

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
"""How long diffoscope may take for a format: it unpacks everything, and its answer is an extra."""
MOST = 5
"""Differences that are shown of one stage or file: the first few tell the cause, thousands would hide it."""


class Made(NamedTuple):
    """A format as one build made it.

    entry: what manifest.json says of it (`files`, `stages`). file: a file's name -> where it lies, None if it is not to
    be had. store: where its stages' results are, or were; None if they are on another machine.
    """

    entry: Mapping[str, Any]
    file: Callable[[str], Path | None]
    store: Store | None

    def path(self, name: str) -> Path | None:
        """Where the file `name` lies as it was made; None if it cannot be had, or another format overwrote it since."""
        path = self.file(name) if name in self.entry["files"] else None
        same = path is not None and sha256(HostFile(path)) == self.entry["files"][name]["sha256"]
        return path if same else None


class Explanation(NamedTuple):
    """stage: the first whose result differs ("" if nobody knows). inside: what differs in it; files: in the files.

    reports: diffoscope's pages, where it is installed.
    """

    stage: str
    inside: tuple[Difference, ...]
    files: tuple[Difference, ...]
    reports: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people, the most telling line first."""
        found = [f"the first stage that differs: {self.stage}"] if self.stage else []
        found += [f"  {difference}" for difference in self.inside]
        found += [str(difference) for difference in self.files]
        return found + [f"diffoscope's report: {report}" for report in self.reports]

    def json(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "inside": [difference._asdict() for difference in self.inside],
            "files": [difference._asdict() for difference in self.files],
            "reports": list(self.reports),
        }


def explain(left: Made, right: Made, reports: Path | None = None) -> Explanation:
    """What is known of why `left` and `right` differ. reports: a folder for diffoscope's pages, if they are wanted."""
    stage = next(iter(unequal_stages(left, right)), "")
    inside = tuple(islice(_in_stage(left, right, stage), MOST)) if stage else ()
    files = tuple(islice(_in_files(left, right), MOST))
    return Explanation(stage, inside, files, tuple(_diffoscope(left, right, reports)) if reports else ())


def unequal_stages(left: Made, right: Made) -> list[str]:
    """The stages that both have and whose results differ, inputs before what uses them."""
    ours, theirs = left.entry["stages"], right.entry["stages"]
    return [
        name
        for name in in_order(ours, [made.store for made in (left, right) if made.store])
        if name in theirs and _differ(ours[name]["result"], theirs[name]["result"])
    ]


def _differ(ours: str | None, theirs: str | None) -> bool:
    """Whether two results are known, and unequal."""
    return ours is not None and theirs is not None and ours != theirs


def in_order(stages: Mapping[str, Any], stores: list[Store]) -> list[str]:
    """The names of `stages`, inputs first. What feeds what is in the records of the stores; without them, by name."""
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


def _in_stage(left: Made, right: Made, stage: str) -> Iterator[Difference]:
    """Where the two results of `stage` differ; nothing where one of them is not at hand."""
    digests = [Digest.parse(made.entry["stages"][stage]["result"]) for made in (left, right)]
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
    """Where a difference is two digests (an image's layers): what differs in what they name."""
    try:
        ours, theirs = (Digest.parse(json.loads(text)) for text in (difference.left, difference.right))
    except (InvalidDigest, ValueError):
        return
    if left.has(ours) and right.has(theirs):
        yield from differences(of_blob(left, ours), of_blob(right, theirs), (*difference.steps, difference.field))


def _in_files(left: Made, right: Made) -> Iterator[Difference]:
    """Where the files differ, as their formats' readers see them."""
    ours, theirs = left.entry["files"], right.entry["files"]
    for name in _unequal_files(left, right):
        paths = left.path(name), right.path(name)
        if paths[0] and paths[1]:
            yield from islice(differences(HostFile(paths[0]), HostFile(paths[1]), (name,)), MOST)
        else:
            sums = [str(side[name]["sha256"]) if name in side else "(no such file)" for side in (ours, theirs)]
            yield Difference((name,), "sha256", *sums)


def _unequal_files(left: Made, right: Made) -> list[str]:
    ours, theirs = left.entry["files"], right.entry["files"]
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [name for name in names if ours.get(name) != theirs.get(name)]


def _diffoscope(left: Made, right: Made, reports: Path) -> Iterator[str]:
    """Have diffoscope compare the files too, one page each. Nothing where it is not installed, or gives up."""
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
