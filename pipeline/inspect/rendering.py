"""Rendering: a Comparison as text for a terminal, Markdown for a pull request, HTML for a browser, or JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping

from pipeline.host.terminal import printable
from pipeline.inspect.comparison import Change, Comparison

LONGEST = 60
"""Rows of a topic that people are shown: more is not read."""
COMMENT = 65_000
"""Bytes of a comment: GitHub takes 65 536 characters, and some are for what stands around it."""

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2em .6em; vertical-align: top; }
tr:nth-child(even) { background: color-mix(in srgb, currentColor 6%, transparent); }
td { font-family: ui-monospace, monospace; overflow-wrap: anywhere; } td:first-child { width: 50%; }
:root { color-scheme: light dark; }
"""


def text(comparison: Comparison) -> str:
    """One line a change."""
    if comparison.equal:
        return f"{comparison.left} and {comparison.right} are equal\n"
    lines = [f"{comparison.left} | {comparison.right}"]
    for topic, changes in comparison.topics.items():
        if changes:
            lines += ["", f"{topic} ({len(changes)})"]
            lines += [printable(f"  {change.what}: {change.left} | {change.right}") for change in changes[:LONGEST]]
            lines += _rest(changes, "  ")
    return "\n".join(lines) + "\n"


def markdown(comparison: Comparison) -> str:
    """A line that says how much differs, and a folded table a topic, with as many rows as a comment has room for."""
    if comparison.equal:
        return f"`{comparison.left}` and `{comparison.right}` are equal.\n"
    rows = LONGEST
    while len((text := _markdown(comparison, rows)).encode()) > COMMENT and rows:
        rows //= 2
    return text


def _markdown(comparison: Comparison, longest: int) -> str:
    counted = ", ".join(f"{len(changes)} {topic}" for topic, changes in comparison.topics.items() if changes)
    blocks = [f"**`{comparison.left}` → `{comparison.right}`**: {counted}"]
    for topic, changes in comparison.topics.items():
        if changes:
            rows = ["| | before | after |", "|---|---|---|"]
            rows += [f"| {' | '.join(_cell(each) for each in change)} |" for change in changes[:longest]]
            folded = f"<details><summary>{topic} ({len(changes)})</summary>"
            blocks.append("\n".join([folded, "", *rows, *_rest(changes, "\n", longest), "", "</details>"]))
    return "\n\n".join(blocks) + "\n"


def _cell(value: str) -> str:
    """Text as code in a Markdown table: no bar, no back quote, no line break may end it."""
    plain = printable(value).replace("`", "'")
    if "|" in plain:
        plain = plain.replace("\\", "\\\\").replace("|", "\\|")
    return f"`{plain}`" if plain.strip() else " "


def page(comparison: Comparison) -> str:
    """One HTML file that needs nothing else."""
    title = html.escape(f"{comparison.left} | {comparison.right}")
    parts = [f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"]
    parts += ["<p>They are equal.</p>"] if comparison.equal else []
    for topic, changes in comparison.topics.items():
        if changes:
            rows = "".join(map(_row, [("", comparison.left, comparison.right), *changes]))
            summary = f"<summary><b>{topic}</b> ({len(changes)})</summary>"
            parts.append(f"<details open>{summary}<table>{rows}</table></details>")
    return "\n".join(parts) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(printable(each))}</td>' for each in cells)}</tr>\n"


def document(comparison: Comparison) -> str:
    """JSON: {"left", "right", "equal", "topics": {topic: [{"what", "left", "right"}]}}."""
    topics = {topic: [change._asdict() for change in changes] for topic, changes in comparison.topics.items()}
    said = {"left": comparison.left, "right": comparison.right, "equal": comparison.equal, "topics": topics}
    return json.dumps(said, indent=1) + "\n"


def _rest(changes: tuple[Change, ...], before: str, longest: int = LONGEST) -> list[str]:
    return [f"{before}… and {len(changes) - longest} more"] if len(changes) > longest else []


FORMS: Mapping[str, Callable[[Comparison], str]] = {"text": text, "json": document, "markdown": markdown, "html": page}
