"""doit size: what each byte of a node is for, as a table and as a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.host import atomic
from pipeline.host.terminal import say
from pipeline.project.project import Project
from pipeline.tasks.command import command

PAGE = 10
"""Rows of a table on the page, for each one in the terminal."""


@command(
    "bytes by component, image, package and file; duplicates; a map in build/NAME/size.html",
    json="write everything to this file as JSON ('-': to standard output)",
    top="packages, files and duplicates to show",
)
def run(project: Project, names: Sequence[str], json: str = "", top: int = 10) -> None:
    """Prints the tables of specs, and writes build/NAME/size.html."""
    from pipeline.inspect import measure, report

    for target in (target for name in names for target in project.targets(name)):
        sizes = measure.measure(project.store, target.locked(*target.spec.build.formats))
        page = project.make(target.folder) / "size.html"
        title = f"{target.spec.name} ({target.arch})"
        atomic.write(page, report.page(sizes.report(title, PAGE * top)))
        table = sizes.report(title, top)
        if json == "-":
            say(report.json_text(table), end="")
            continue
        if json:
            Path(json).write_text(report.json_text(table))
        say(report.text(table))
        say(f"the map: {page}")
