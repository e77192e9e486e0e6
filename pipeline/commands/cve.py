"""doit cve: the known vulnerabilities of a node's packages, by a database in a file."""

from __future__ import annotations

import json as jsons
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.inspect.vulnerabilities import Report


class VulnerableNode(NodekilnError):
    """A node has vulnerabilities of at least the threshold that are not accepted."""


@command(
    "known vulnerabilities of a node's packages, by a database in a file; exit code 1 from a severity on",
    db="the database: Debian's security tracker as JSON, or OSV records (a file, a folder or a zip)",
    threshold="exit code 1 from this severity on: unknown, unimportant, low, medium, high or critical",
    accept="vulnerabilities that do not count, separated by commas: CVE, CVE@SOURCE or CVE@SOURCE:JUSTIFICATION (VEX)",
    json="write everything to this file as JSON ('-': to standard output)",
)
def run(
    project: Project, names: Sequence[str], db: str = "", threshold: str = "high", accept: str = "", json: str = ""
) -> None:
    """Prints the vulnerabilities of specs; VulnerableNode from `threshold` on."""
    from pipeline.inspect import advisories, vulnerabilities
    from pipeline.project.build import perform
    from pipeline.stages import inventory

    if threshold not in advisories.SEVERITIES:
        raise BadInput(f"--threshold: {threshold!r} is not a severity: {', '.join(advisories.SEVERITIES)}")
    if not db:
        raise BadInput("--db is missing: a file with Debian's tracker JSON, or OSV records")
    accepted = vulnerabilities.accepted(word for word in accept.split(",") if word)
    known = advisories.read(Path(db))
    reports = []
    for name in names:
        for target in project.targets(name):
            action = target.locked("spdx").products.inventory
            perform(project, action)
            node = action.use(project.store, partial(inventory.load, project.store))
            reports.append(vulnerabilities.report(target.title, node, known, accepted))
    text = jsons.dumps([_document(each) for each in reports], indent=1) + "\n"
    if json == "-":
        say(text, end="")
    else:
        if json:
            Path(json).write_text(text)
        say("\n".join(line for each in reports for line in _lines(each)))
    if bad := [each for each in reports if each.counted(threshold)]:
        counts = (f"{each.title}: {len(each.counted(threshold))} of severity {threshold} or more" for each in bad)
        raise VulnerableNode("; ".join(counts) + " (--accept names those that do not count)")


def _lines(found: Report) -> list[str]:
    """Returns the lines that people read."""
    lines = [f"{found.title}: {len(found.vulnerabilities)} vulnerabilities", *map(str, found.vulnerabilities)]
    if unknown := sum(each.severity == "unknown" for each in found.vulnerabilities):
        lines.append(f"{unknown} of unknown severity: --threshold=unknown counts them")
    if found.unexamined:
        lines.append(f"not in the database: {', '.join(found.unexamined)}")
    lines += [f"accepted, and not there: {each.name}" for each in found.unused]
    return lines


def _document(found: Report) -> dict[str, object]:
    rows = [each._asdict() | {"accepted": each.accepted and each.accepted._asdict()} for each in found.vulnerabilities]
    unused = [each.name for each in found.unused]
    return {"node": found.title, "vulnerabilities": rows, "unexamined": list(found.unexamined), "unused": unused}
