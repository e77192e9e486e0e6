"""A treemap: nested rectangles whose areas are bytes, as HTML.

Rows are filled as Bruls, Huizing and van Wijk describe it ("Squarified Treemaps", 2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.host.page import text
from pipeline.model import size as sizes

SMALLEST = 0.0004
"""Share of the map's area below which files are drawn as one rectangle."""


class Box(NamedTuple):
    """A rectangle; its place and measures are shares of the map's width or height. size: bytes."""

    name: str
    size: int
    x: float
    y: float
    width: float
    height: float


def squarify(items: Sequence[tuple[str, int]], x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Yields a rectangle for each of `items` (name, size > 0; the largest first).

    Together they fill the given rectangle, and are as square as possible.
    """
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
    """The number of `items` in the first row: it grows until its thinnest rectangle would become thinner."""
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


Group = tuple[str, Sequence[tuple[str, int]]]
"""A name, and names and sizes of its members."""


def boxes(groups: Sequence[Group]) -> Iterator[tuple[Box, list[Box]]]:
    """Yields each group's rectangle with those of its members; groups and members the largest first."""
    sums = sizes.by_owner((name, size) for name, members in groups for _, size in members)
    total = sum(sums.values()) or 1
    members = dict(groups)
    for box in squarify([item for item in sums.items() if item[1]], 0, 0, 1, 1):
        large = {name: size for name, size in members[box.name] if size >= total * SMALLEST}
        small = [size for _, size in members[box.name] if size < total * SMALLEST]
        if sum(small):
            large[f"{len(small)} smaller files"] = sum(small)
        yield box, list(squarify(sizes.largest_first(large), box.x, box.y, box.width, box.height))


def figure(groups: Sequence[Group]) -> str:
    """The map as HTML."""
    drawn = []
    for number, (group, members) in enumerate(boxes(groups)):
        colour = f"hsl({number * 137 % 360} 45% 50% / .55)"  # the golden angle: neighbours never look alike
        for index, box in enumerate(members):
            drawn.append(_div(box, f"background:{colour}", "" if index else f"<b>{text(group.name)}</b><br>"))
        drawn.append(f'<div class="frame" style="{_place(group)}"></div>\n')
    return f'<div class="map">\n{"".join(drawn)}</div>'


def _div(box: Box, style: str, above: str) -> str:
    """A file's rectangle. above: HTML over its name: the group's name in its first rectangle."""
    title = text(f"{box.name}: {box.size:,} bytes")
    return f'<div style="{_place(box)};{style}" title="{title}">{above}{text(box.name.rpartition("/")[2])}</div>\n'


def _place(box: Box) -> str:
    return f"left:{box.x:.4%};top:{box.y:.4%};width:{box.width:.4%};height:{box.height:.4%}"
