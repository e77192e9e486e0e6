"""doit graph:NODE: the stages of a node as a picture, coloured by what the last build did with them."""

from __future__ import annotations

from pathlib import Path

from pipeline.host import atomic
from pipeline.host.terminal import say
from pipeline.model.errors import BadInput
from pipeline.project.project import RESULTS, Project

DOC = "draw the stages, coloured by what the last build did with them"
PARAMS = [
    {"name": "format", "long": "format", "default": "html", "help": "html, dot or mermaid"},
    {"name": "output", "long": "output", "short": "o", "default": "", "help": "a file (default: in build/NODE)"},
]


def run(project: Project, name: str, format: str = "html", output: str = "") -> None:
    """Write the graph; `-` as output is this terminal."""
    from pipeline.tasks import dry_run, graph, last_run

    if format not in graph.FORMATS:
        raise BadInput(f"{format!r} is no way to draw a graph: {', '.join(graph.FORMATS)}")
    steps = dry_run.steps(project, name)
    text = graph.FORMATS[format](name, graph.nodes(steps, last_run.read(project.root / RESULTS)))
    if output == "-":
        say(text, end="")
        return
    if output:
        Path(output).write_text(text)
        say(output)
        return
    path = project.results(name) / f"graph.{graph.SUFFIXES[format]}"
    project.make(path.parent)
    atomic.write(project.root / path, text)
    say(path)
