"""A treemap: nested rectangles whose areas are bytes, as one HTML file that needs nothing else.

Rows are filled as Bruls, Huizing and van Wijk describe it ("Squarified Treemaps", 2000).
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.host.terminal import printable

SMALLEST = 0.0004
"""Share of the whole map below which a rectangle would be a dot: such files are drawn as one."""

STYLE = """
:root { color-scheme: light dark; } body { font: 13px/1.4 system-ui, sans-serif; margin: 1.5em; }
.map { position: relative; overflow: hidden; width: 100%; aspect-ratio: 16 / 9; }
.map div { position: absolute; box-sizing: border-box; overflow: hidden; white-space: nowrap; padding: 0 .2em;
  border: 1px solid Canvas; font-size: 11px; }
.map .part { pointer-events: none; z-index: 1; border-width: 2px; }
table { border-collapse: collapse; margin: 1em 0; } td, th { padding: .1em .8em; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } tr:nth-child(even) { background: #8881; }
"""


class Box(NamedTuple):
    """A rectangle; all numbers are shares of the whole map's width or height."""

    name: str
    size: int
    x: float
    y: float
    width: float
    height: float


def squarify(items: Sequence[tuple[str, int]], x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """`items` (name, size > 0), the largest first, as rectangles that fill the one given, as square as may be."""
    total = sum(size for _, size in items)
    scale = width * height / total if total else 0
    rest = list(items)
    while rest:
        side = min(width, height)
        count = _best(rest, scale, side)
        row, rest = rest[:count], rest[count:]
        thick = sum(size for _, size in row) * scale / side if side else 0
        at = 0.0
        for name, size in row:
            long = size * scale / thick if thick else 0
            wide = width <= height
            yield Box(name, size, x + at, y, long, thick) if wide else Box(name, size, x, y + at, thick, long)
            at += long
        if width <= height:
            y, height = y + thick, max(0.0, height - thick)
        else:
            x, width = x + thick, max(0.0, width - thick)


def _best(items: Sequence[tuple[str, int]], scale: float, side: float) -> int:
    """How many of `items` make the first row: as long as the worst of its rectangles gets no thinner."""
    worst, area = float("inf"), 0.0
    for count, (_, size) in enumerate(items, 1):
        area += size * scale
        if not side or not area:
            return len(items)
        largest, smallest = items[0][1] * scale, size * scale
        ratio = max(side * side * largest / area**2, area**2 / (side * side * smallest))
        if ratio > worst:
            return count - 1
        worst = ratio
    return len(items)


def boxes(groups: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> Iterator[tuple[Box, list[Box]]]:
    """Each group's rectangle with those of its members; groups and members the largest first."""
    sums = {name: sum(size for _, size in members) for name, members in groups}
    total = sum(sums.values()) or 1
    members = dict(groups)
    ordered = sorted(((name, size) for name, size in sums.items() if size), key=lambda item: (-item[1], item[0]))
    for box in squarify(ordered, 0, 0, 1, 1):
        large = [item for item in members[box.name] if item[1] >= total * SMALLEST]
        small = [size for _, size in members[box.name] if size < total * SMALLEST]
        rest = [(f"{len(small)} smaller files", sum(small))] if sum(small) else []
        items = sorted([*large, *rest], key=lambda item: (-item[1], item[0]))
        yield box, list(squarify(items, box.x, box.y, box.width, box.height))


def page(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, int]]]], tables: Sequence[str]) -> str:
    """The HTML file: the map, then `tables` (HTML)."""
    drawn = []
    for number, (group, members) in enumerate(boxes(groups)):
        colour = f"hsl({number * 137 % 360} 45% 50% / .55)"  # the golden angle: neighbours never look alike
        for place, box in enumerate(members):
            drawn.append(_div(box, f"background:{colour}", "" if place else f"<b>{_text(group.name)}</b><br>"))
        drawn.append(f'<div class=part style="{_place(group)}"></div>\n')
    head = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return f"{head}\n<h1>{html.escape(title)}</h1>\n<div class=map>\n{''.join(drawn)}</div>\n{''.join(tables)}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; whole numbers are set to the right."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f"<h2>{html.escape(title)}</h2>\n<table><tr>{head}</tr>\n{body}</table>\n"


def _cell(value: object) -> str:
    return f"<td class=n>{value:,}</td>" if isinstance(value, int) else f"<td>{_text(str(value))}</td>"


def _div(box: Box, style: str, above: str) -> str:
    """A file's rectangle. above: HTML that stands over its name: what the first of a part belongs to."""
    said = _text(f"{box.name}: {box.size:,} bytes")
    name = _text(box.name.rpartition("/")[2])
    return f'<div style="{_place(box)};{style}" title="{said}">{above}{name}</div>\n'


def _place(box: Box) -> str:
    return f"left:{box.x:.4%};top:{box.y:.4%};width:{box.width:.4%};height:{box.height:.4%}"


def _text(text: str) -> str:
    return html.escape(printable(text), quote=True)
