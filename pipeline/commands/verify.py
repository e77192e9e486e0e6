"""doit verify: build everything again under other conditions, compare hashes, name the first difference."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline import conditions, formats
from pipeline.errors import BadInput, NodekilnError
from pipeline.plan import plan
from pipeline.project import Project
from pipeline.publish import MANIFEST
from pipeline.spec import Spec
from pipeline.verify import Record, Row, Verdict, verify

DOC = "build again under other conditions, compare, explain what differs"
PARAMS = [
    {"name": "runs", "long": "runs", "type": int, "default": 2, "help": "how many runs, each under other conditions"},
    {"name": "full", "long": "full", "type": bool, "default": False, "help": "all conditions, one at a time too"},
    {"name": "formats", "long": "formats", "default": "", "help": "these formats, comma-separated, or 'all'"},
    {"name": "against", "long": "against", "default": "", "help": "a manifest.json of an earlier build to be met"},
    {"name": "json", "long": "json", "default": "", "help": "write the table to this file as JSON ('-': to stdout)"},
]  # fmt: skip
HASH = 12
"""Hexadecimal digits of a sum that the table shows."""


class NotReproducible(NodekilnError):
    """Runs disagree, or one could not be made."""


def run(
    project: Project, name: str, runs: int = 2, full: bool = False, formats: str = "", against: str = "", json: str = ""
) -> None:
    """Print the table; NotReproducible (exit code 1) unless every run made the same of every format."""
    spec = project.load(name)
    targets = _targets(project, spec, formats)
    wanted = conditions.chosen(runs, full)
    record = _record(project, Path(against)) if against else None
    rows: list[Row] = []
    for row in verify(project, name, targets, wanted, record):
        rows.append(row)
        _say(row, targets, Verdict(tuple(targets), tuple(rows)), quiet=json == "-")
    verdict = Verdict(tuple(targets), tuple(rows))
    if json:
        _write(json, verdict)
    summary = f"{name}: {verdict.agreeing} of {verdict.all} agree ({len(rows)} runs × {len(targets)} formats)"
    if verdict.agreeing < verdict.all:
        raise NotReproducible(f"{summary}: {', '.join(_unequal(verdict))}")
    if json != "-":
        print(summary, flush=True)


def _targets(project: Project, spec: Spec, asked: str) -> dict[str, str]:
    """Format (with its architecture's folder, where there are several) -> doit's task."""
    found = {}
    for arch in spec.build.arch or ():
        made = plan(spec, project.lock(spec.name), arch)
        names: Iterable[str] = asked.split(",") if asked else spec.build.formats or ()
        if asked == "all":
            names = formats.names()
        for name in names:
            if name not in formats.names():
                raise BadInput(f"there is no format {name!r} (there are {', '.join(formats.names())})")
            if made.missing(name):
                lacking = f"{project.lock_path(spec.name)} lacks {made.missing(name)[0]}"
                raise NodekilnError(f"{lacking}: run `doit lock:{spec.name}`")
            title = f"{arch}/{name}" if len(spec.build.arch or ()) > 1 else name
            found[title] = f"build:{spec.name}:{title}"
    return found


def _record(project: Project, path: Path) -> Record:
    path = path / MANIFEST if path.is_dir() else path
    try:
        manifest = json.loads(path.read_text())
        manifest["formats"].items()
    except OSError as error:
        raise BadInput(f"--against {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"--against {path}: not a record of a build (build/NAME/{MANIFEST} is one)") from None
    return Record(str(path), manifest, path.parent, project.store)


def _say(row: Row, targets: Iterable[str], verdict: Verdict, quiet: bool) -> None:
    """One line a run: its name, a sum a format, what was different; below, why something differs."""
    if quiet:
        return
    sums = " ".join(f"{name}={_sum(row, name)}{'' if verdict.agrees(row, name) else '!'}" for name in targets)
    print(f"{row.name:<18} {sums}  {row.seconds:4.0f} s  {row.said}".rstrip(), flush=True)
    if row.left_out:
        print(f"  not done here: {row.left_out}", flush=True)
    for line in row.failed.splitlines()[-12:]:
        print(f"  {line}", flush=True)
    for name, explanation in row.explanations.items():
        print(f"  {name} differs from {verdict.rows[0].name}:")
        print("".join(f"    {line}\n" for line in explanation.lines()), end="", flush=True)


def _sum(row: Row, name: str) -> str:
    """One short sum for all files of a format."""
    import hashlib

    if name not in row.sums:
        return "-"
    return hashlib.sha256(json.dumps(row.sums[name], sort_keys=True).encode()).hexdigest()[:HASH]


def _unequal(verdict: Verdict) -> list[str]:
    """`format (run, run)` for every format that some run did not make as the first."""
    found = []
    for name in verdict.formats:
        if runs := [row.name for row in verdict.rows if not verdict.agrees(row, name)]:
            found.append(f"{name} ({', '.join(runs)})")
    return found


def _write(path: str, verdict: Verdict) -> None:
    document = {
        "agree": verdict.agreeing, "of": verdict.all,
        "formats": {name: all(verdict.agrees(row, name) for row in verdict.rows) for name in verdict.formats},
        "runs": [_row(row) for row in verdict.rows],
    }  # fmt: skip
    text = json.dumps(document, indent=1) + "\n"
    if path == "-":
        print(text, end="", flush=True)
    else:
        Path(path).write_text(text)


def _row(row: Row) -> dict[str, Any]:
    explanations = {name: explanation.json() for name, explanation in row.explanations.items()}
    return row._asdict() | {"seconds": round(row.seconds, 1), "explanations": explanations}
