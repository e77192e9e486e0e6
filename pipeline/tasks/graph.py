"""Graph: the stages of a node as DOT (graphviz), Mermaid, or a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.host import page as pages
from pipeline.tasks import last_run
from pipeline.tasks.dry_run import Step
from pipeline.tasks.last_run import Event

COLOURS = {
    last_run.RAN: "#f4a261",
    last_run.RESTORED: "#8ecae6",
    last_run.UP_TO_DATE: "#b7e4c7",
    last_run.FAILED: "#e63946",
    "": "#e9ecef",
}
"""Colours of stages by outcome; "": not built yet."""
ROW, COLUMN, WIDTH, HEIGHT = 34, 300, 250, 24
"""Distance of rows and columns, and size of a box, in pixels of the HTML page."""
LETTERS = 36
"""Maximum length of a name in a box, in characters."""


class Node(NamedTuple):
    """A stage in the picture. needs: indices of its inputs in the list of nodes."""

    name: str
    outcome: str
    seconds: float
    needs: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"{self.name} {self.seconds:.2f} s" if self.seconds >= 0.005 else self.name


def nodes(steps: list[Step], last: Mapping[str, Event]) -> list[Node]:
    """Returns a node for each of `steps`, inputs first, with its outcome in the last run."""
    place = {id(step.action): number for number, step in enumerate(steps)}
    nodes = []
    for step in steps:
        outcome, seconds = last.get(step.task, Event("", 0.0))
        if outcome == last_run.UP_TO_DATE and step.seconds:
            seconds = step.seconds
        needs = dict.fromkeys(place[id(needed)] for needed in step.action.inputs)
        nodes.append(Node(step.task.split(":", 2)[2], outcome, seconds, tuple(needs)))
    return nodes


def dot(title: str, drawn: list[Node]) -> str:
    """Renders the graph for graphviz (`dot -Tsvg`)."""
    lines = [f"digraph {_quoted(title)} {{", "  rankdir=LR", "  node [shape=box, style=filled, fontname=sans]"]
    for number, node in enumerate(drawn):
        lines.append(f"  {number} [label={_quoted(node.label)}, fillcolor={_quoted(COLOURS[node.outcome])}]")
        lines += [f"  {need} -> {number}" for need in node.needs]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def mermaid(title: str, drawn: list[Node]) -> str:
    """Renders the graph as a `mermaid` block of Markdown."""
    lines = ["---", f"title: {title}", "---", "flowchart LR"]
    classes = {outcome: outcome.replace(" ", "_") or "unknown" for outcome in COLOURS}
    for number, node in enumerate(drawn):
        label = node.label.replace("#", "#35;").replace('"', "#quot;")
        lines.append(f'  s{number}["{label}"]:::{classes[node.outcome]}')
        lines += [f"  s{need} --> s{number}" for need in node.needs]
    lines += [f"  classDef {classes[outcome]} fill:{colour},color:#000" for outcome, colour in COLOURS.items()]
    return "\n".join(lines) + "\n"


def page(title: str, drawn: list[Node]) -> str:
    """Renders the graph as an HTML page with SVG; pointing at a stage shows what it needs and what needs it."""
    at = _places(drawn)
    width = max((x for x, _ in at), default=0) + WIDTH + 20
    height = max((y for _, y in at), default=0) + HEIGHT + 20
    edges = [(need, number) for number, node in enumerate(drawn) for need in node.needs]
    arrows = "".join(_arrow(at[need], at[number], need, number) for need, number in edges)
    boxes = "".join(_box(at[number], number, node) for number, node in enumerate(drawn))
    legend = "".join(
        f'<span class="key" style="background:{colour}">{outcome or "not built yet"}: {count}</span>'
        for outcome, colour in COLOURS.items()
        if (count := sum(node.outcome == outcome for node in drawn))
    )
    seconds = sum(node.seconds for node in drawn if node.outcome == last_run.RAN)
    drawing = f'<svg width="{width}" height="{height}">{arrows}{boxes}</svg>'
    return pages.page(title, f"<p>{legend} {seconds:.2f} s in stages that ran</p>", drawing, SCRIPT)


def _places(drawn: list[Node]) -> list[tuple[int, int]]:
    """Returns the corner of each box: a column to the right of all that it needs, in the order of the stages."""
    columns: list[int] = []
    for node in drawn:
        columns.append(max((columns[need] + 1 for need in node.needs), default=0))
    rows = [sum(other == column for other in columns[:number]) for number, column in enumerate(columns)]
    return [(10 + column * COLUMN, 10 + row * ROW) for column, row in zip(columns, rows, strict=True)]


def _arrow(start: tuple[int, int], end: tuple[int, int], need: int, number: int) -> str:
    x, y, to_x, to_y = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    middle = (x + to_x) // 2
    return f'<path class="a{need} b{number}" d="M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}"/>'


def _box(place: tuple[int, int], number: int, node: Node) -> str:
    x, y = place
    name = node.name if len(node.name) <= LETTERS else "…" + node.name[1 - LETTERS :]
    return (
        f'<g data-number="{number}"><title>{pages.text(node.label)}: {node.outcome or "not built yet"}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="{COLOURS[node.outcome]}"/>'
        f'<text x="{x + 6}" y="{y + 16}">{pages.text(name)}</text></g>'
    )


SCRIPT = """<script>
for (const box of document.querySelectorAll("g")) {
  const near = document.querySelectorAll(`.a${box.dataset.number}, .b${box.dataset.number}`);
  box.onmouseenter = () => near.forEach(path => path.classList.add("on"));
  box.onmouseleave = () => near.forEach(path => path.classList.remove("on"));
}
</script>"""

FORMATS = {"html": page, "dot": dot, "mermaid": mermaid}
SUFFIXES = {"html": "html", "dot": "dot", "mermaid": "mmd"}
