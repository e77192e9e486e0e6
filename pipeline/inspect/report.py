"""Reports: titled tables, as text for a terminal, Markdown for a pull request, an HTML page for a browser, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.host import page as pages
from pipeline.host.terminal import printable

LONGEST = 60
"""Maximum number of rows of a table in a text."""
COMMENT = 65_000
"""Maximum size of Markdown, in bytes: a comment at GitHub has 65 536 characters, and some more stand around it."""


class Table(NamedTuple):
    """omitted: the number of further rows. line: the format of a row as text; if it is empty, columns are aligned."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    omitted: int = 0
    line: str = ""

    def first(self, count: int) -> Table:
        """The table with at most `count` rows."""
        return self._replace(rows=self.rows[:count], omitted=self.omitted + max(len(self.rows) - count, 0))

    @property
    def rest(self) -> str:
        return f"… and {self.omitted} more" if self.omitted else ""

    def lines(self) -> list[str]:
        """The rows as text."""
        if self.line:
            return [printable(self.line.format(*row)) for row in self.rows]
        return aligned(self.rows, self.columns)


class Report(NamedTuple):
    """summary: one line of Markdown. document: what JSON shows. figure: HTML above the tables."""

    title: str
    tables: Sequence[Table]
    document: Mapping[str, Any]
    summary: str = ""
    figure: str = ""

    def first(self, count: int) -> Report:
        """The report with at most `count` rows of each table."""
        return self._replace(tables=[table.first(count) for table in self.tables])


def text(report: Report) -> str:
    lines = [printable(report.title)]
    for table in report.tables:
        lines += ["", table.title, *(f"  {line}" for line in [*table.lines(), table.rest] if line)]
    return "\n".join(lines) + "\n"


def aligned(rows: Sequence[Sequence[object]], columns: Sequence[str] = ()) -> list[str]:
    """`rows` below the headings `columns`, as lines; integers are right-aligned and have separators."""
    cells = [*([columns] if columns else []), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [any(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    numeric += [False] * (len(widths) - len(numeric))
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else printable(str(cell))


def markdown(report: Report) -> str:
    """A summary and a folded table for each topic, with as many rows as a comment has room for."""
    rows = LONGEST
    while len((text := _markdown(report.first(rows))).encode()) > COMMENT and rows:
        rows //= 2
    return text


def _markdown(report: Report) -> str:
    blocks = [f"**{_code(report.title)}**{': ' * bool(report.summary)}{report.summary}"]
    for table in report.tables:
        rows = [f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|"]
        rows += [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
        rest = ["", table.rest] if table.omitted else []
        folded = f"<details><summary>{table.title}</summary>"
        blocks.append("\n".join([folded, "", *rows, *rest, "", "</details>"]))
    return "\n\n".join(blocks) + "\n"


def _code(value: str) -> str:
    """`value` as code, which no back quote or line break in it can end."""
    plain = printable(value).replace("`", "'")
    return f"`{plain}`" if plain.strip() else " "


def _cell(value: object) -> str:
    """`value` as code in a table, where a bar would end it."""
    code = _code(_shown(value))
    return code.replace("\\", "\\\\").replace("|", "\\|") if "|" in code else code


def page(report: Report) -> str:
    """An HTML page."""
    tables = (pages.table(table.title, table.columns, table.rows, table.rest) for table in report.tables)
    return pages.page(report.title, report.figure, *tables)


def json_text(report: Report) -> str:
    return json.dumps(report.document, indent=1) + "\n"


FORMS: Mapping[str, Callable[[Report], str]] = {
    "text": lambda report: text(report.first(LONGEST)), "json": json_text, "markdown": markdown, "html": page,
}  # fmt: skip
