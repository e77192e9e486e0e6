"""Verdict: what several makings of the same formats came to, as a table for people and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.inspect.explain import Explanation

SUM = 12
"""Hexadecimal digits of a sum that the table shows."""
IN_A_LINE = 4
"""Formats whose sums fit into a line; of more, the table says how many agree, and its JSON has the sums."""
LINES = 12
"""Lines of a failed run's output that the table shows: the last ones, where the error is."""


class Row(NamedTuple):
    """One run.

    said: its conditions. sums: format -> file -> sha256. explanations: format -> why it differs from the first row.
    failed: the end of its output, if it made nothing. left_out: conditions that this machine could not give it.
    """

    name: str
    said: str
    seconds: float
    sums: Mapping[str, Mapping[str, str]]
    explanations: Mapping[str, Explanation]
    failed: str = ""
    left_out: str = ""


class Verdict(NamedTuple):
    """rows: the table; the first one is what the others are held against."""

    formats: tuple[str, ...]
    rows: tuple[Row, ...]

    def agrees(self, row: Row, name: str) -> bool:
        """Whether the run made the format `name` as the first one did."""
        return not row.failed and row.sums.get(name) == self.rows[0].sums.get(name) is not None

    @property
    def agreeing(self) -> int:
        return sum(self.agrees(row, name) for row in self.rows for name in self.formats)

    @property
    def all(self) -> int:
        return len(self.rows) * len(self.formats)

    def __str__(self) -> str:
        return f"{self.agreeing} of {self.all} agree ({len(self.rows)} runs × {len(self.formats)} formats)"


def lines(verdict: Verdict) -> list[str]:
    """The last row: its name, a sum a format (`!` where it differs), its conditions; below, why something differs."""
    row = verdict.rows[-1]
    found = [f"{row.name:<16} {_sums(verdict, row)} {row.seconds:5.0f} s  {row.said}".rstrip()]
    found += [f"  not done here: {row.left_out}"] if row.left_out else []
    found += [f"  {line}" for line in row.failed.splitlines()[-LINES:]]
    for name, explanation in row.explanations.items():
        found.append(f"  {name} differs from {verdict.rows[0].name}:")
        found += [f"    {line}" for line in explanation.lines()]
    return found


def by_format(verdict: Verdict) -> Iterator[str]:
    """One verdict a format: the first row's sum, and whether all rows have it."""
    width = max(map(len, verdict.formats))
    for name in verdict.formats:
        unequal = [row.name for row in verdict.rows if not verdict.agrees(row, name)]
        said = f"all {len(verdict.rows)} agree" if not unequal else f"not the same: {', '.join(unequal)}"
        yield f"{name:<{width}}  {_sum(verdict.rows[0], name)}  {said}"


def _sums(verdict: Verdict, row: Row) -> str:
    equal = sum(verdict.agrees(row, name) for name in verdict.formats)
    if len(verdict.formats) > IN_A_LINE:
        return f"{equal} of {len(verdict.formats)} formats as the first"
    marks = {name: "" if verdict.agrees(row, name) else "!" for name in verdict.formats}
    return " ".join(f"{name}={_sum(row, name)}{mark}" for name, mark in marks.items())


def _sum(row: Row, name: str) -> str:
    """One short sum for all files of a format."""
    if name not in row.sums:
        return "-"
    return hashlib.sha256(json.dumps(row.sums[name], sort_keys=True).encode()).hexdigest()[:SUM]


def document(verdict: Verdict) -> str:
    """JSON: {"agree", "of", "formats": {format: bool}, "runs": [rows]}."""
    formats = {name: all(verdict.agrees(row, name) for row in verdict.rows) for name in verdict.formats}
    runs = [_row(row) for row in verdict.rows]
    said = {"agree": verdict.agreeing, "of": verdict.all, "formats": formats, "runs": runs}
    return json.dumps(said, indent=1) + "\n"


def _row(row: Row) -> dict[str, Any]:
    explanations = {name: explanation.json() for name, explanation in row.explanations.items()}
    return row._asdict() | {"seconds": round(row.seconds, 1), "explanations": explanations}
