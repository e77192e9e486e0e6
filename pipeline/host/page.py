"""HTML pages in one style. A page needs no other file and no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

from pipeline.host.terminal import printable

STYLE = """
:root { color-scheme: light dark; } body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5em; }
table { border-collapse: collapse; margin: .5em 0 1em; } tr:nth-child(even) { background: #8881; }
td, th { text-align: left; vertical-align: top; padding: .1em .8em; max-width: 50em; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.map { position: relative; overflow: hidden; width: 100%; aspect-ratio: 16 / 9; }
.map div { position: absolute; box-sizing: border-box; overflow: hidden; white-space: nowrap; padding: 0 .2em;
  border: 1px solid Canvas; font-size: 11px; }
.map .frame { pointer-events: none; z-index: 1; border-width: 2px; }
.key { padding: .2em .6em; margin-right: .5em; border-radius: 4px; color: #000; }
svg path { fill: none; stroke: #adb5bd; } svg path.on { stroke: #d00000; stroke-width: 2; }
svg rect { stroke: #868e96; } svg text { font-size: 12px; }
"""


def page(title: str, *parts: str) -> str:
    """The page with a heading and `parts`, which are HTML."""
    head = f'<meta charset="utf-8"><title>{text(title)}</title>\n<style>{STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en">{head}', f"<h1>{text(title)}</h1>", *parts, "</html>\n"])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], omitted: str = "") -> str:
    """A table that can be folded away; integers are right-aligned. omitted: a line below it."""
    head = f"<tr>{''.join(f'<th>{text(column)}</th>' for column in columns)}</tr>\n"
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    below = f"<p>{text(omitted)}</p>" if omitted else ""
    return f"<details open><summary><b>{text(title)}</b></summary>\n<table>{head}{body}</table>{below}</details>"


def _cell(value: object) -> str:
    return f'<td class="number">{value:,}</td>' if isinstance(value, int) else f"<td>{text(str(value))}</td>"


def text(value: str) -> str:
    """`value` as text or an attribute of HTML, without control characters."""
    return html.escape(printable(value))
