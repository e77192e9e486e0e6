"""doit graph: the stages of a node as a picture, coloured by what the last build did with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.host import atomic
from pipeline.host.terminal import say
from pipeline.model.errors import BadInput
from pipeline.project.project import RESULTS, Project
from pipeline.tasks.command import command


@command(
    "draw the stages, coloured by what the last build did with them",
    short={"output": "o"},
    format="html, dot or mermaid",
    output="a file, or - for standard output (default: in build/NODE)",
)
def run(project: Project, names: Sequence[str], format: str = "html", output: str = "") -> None:
    """Writes the graphs of specs."""
    from pipeline.tasks import dry_run, graph, last_run

    if format not in graph.FORMATS:
        raise BadInput(f"{format!r} is not a format of graphs: use {', '.join(graph.FORMATS)}")
    for name in names:
        nodes = graph.nodes(dry_run.steps(project, name), last_run.read(project.root / RESULTS))
        text = graph.FORMATS[format](name, nodes)
        if output == "-":
            say(text, end="")
        elif output:
            Path(output).write_text(text)
            say(output)
        else:
            path = project.results(name) / f"graph.{graph.SUFFIXES[format]}"
            project.make(path.parent)
            atomic.write(project.root / path, text)
            say(path)
