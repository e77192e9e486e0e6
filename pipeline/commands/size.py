"""doit size: what each byte of a node is for, as a table and as a map."""

from __future__ import annotations

from pathlib import Path

from pipeline.host import atomic
from pipeline.host.terminal import say
from pipeline.project.project import Project

DOC = "bytes by part, image, package and file; duplicates; a map in build/NAME/size.html"
PARAMS = [
    {"name": "json", "long": "json", "default": "", "help": "write everything to this file as JSON ('-': to stdout)"},
    {"name": "top", "long": "top", "type": int, "default": 10, "help": "packages, files and duplicates to show"},
]
PAGE = 10
"""Rows of a table on the page, for each one in the terminal."""


def run(project: Project, name: str, json: str = "", top: int = 10) -> None:
    """Print the table and write build/NAME/size.html."""
    from pipeline.inspect import measure, report
    from pipeline.planning.plan import plan

    spec = project.load(name)
    arches = spec.build.arch
    for arch in arches:
        sizes = measure.measure(project.store, plan(spec, project.lock(name), arch))
        page = project.make(project.results(name, arch if len(arches) > 1 else "")) / "size.html"
        title = f"{name} ({arch})"
        atomic.write(page, report.page(sizes.report(title, PAGE * top)))
        table = sizes.report(title, top)
        if json == "-":
            say(report.json_text(table), end="")
            continue
        if json:
            Path(json).write_text(report.json_text(table))
        say(report.text(table))
        say(f"the map: {page}")
