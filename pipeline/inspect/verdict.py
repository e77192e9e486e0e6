"""Verdict: the results of several builds of the same formats, side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.inspect.explain import Explanation
from pipeline.inspect.report import Report, Table

DIGITS = 12
"""Number of hexadecimal digits of a digest that the table shows."""
IN_A_LINE = 4
"""Maximum number of formats whose digests are in a run's line; for more, it counts those that agree."""
LINES = 12
"""Number of lines of a failed run's output that the table shows: the last ones, where the error is."""


class Row(NamedTuple):
    """One run.

    conditions: as text. sums: format -> file -> sha256. explanations: format -> why it differs from the first row.
    failed: the end of the output of a run that failed. left_out: conditions that this machine does not have.
    """

    name: str
    conditions: str
    seconds: float
    sums: Mapping[str, Mapping[str, str]]
    explanations: Mapping[str, Explanation]
    failed: str = ""
    left_out: str = ""

    def digest(self, name: str) -> str:
        """One short digest for all files of the format `name`."""
        if name not in self.sums:
            return "-"
        return hashlib.sha256(json.dumps(self.sums[name], sort_keys=True).encode()).hexdigest()[:DIGITS]

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name, "said": self.conditions, "seconds": round(self.seconds, 1), "sums": self.sums,
            "explanations": {name: each.document() for name, each in self.explanations.items()},
            "failed": self.failed, "left_out": self.left_out,
        }  # fmt: skip


class Verdict(NamedTuple):
    """rows: the runs; all are compared with the first one."""

    formats: tuple[str, ...]
    rows: tuple[Row, ...]

    def agrees(self, row: Row, name: str) -> bool:
        """Returns True if the run built the same files of the format `name` as the first one."""
        return not row.failed and row.sums.get(name) == self.rows[0].sums.get(name) is not None

    @property
    def agreeing(self) -> int:
        return sum(self.agrees(row, name) for row in self.rows for name in self.formats)

    @property
    def all(self) -> int:
        return len(self.rows) * len(self.formats)

    def __str__(self) -> str:
        return f"{self.agreeing} of {self.all} agree ({len(self.rows)} runs × {len(self.formats)} formats)"

    def last_lines(self) -> list[str]:
        """The last run as text: its digests (`!` where one differs) and conditions, then why something differs."""
        row = self.rows[-1]
        lines = [f"{row.name:<16} {self._digests(row)} {row.seconds:5.0f} s  {row.conditions}".rstrip()]
        lines += [f"  not done here: {row.left_out}"] if row.left_out else []
        lines += [f"  {line}" for line in row.failed.splitlines()[-LINES:]]
        for name, explanation in row.explanations.items():
            lines.append(f"  {name} differs from {self.rows[0].name}:")
            lines += [f"    {line}" for line in explanation.lines()]
        return lines

    def _digests(self, row: Row) -> str:
        if len(self.formats) > IN_A_LINE:
            equal = sum(self.agrees(row, name) for name in self.formats)
            return f"{equal} of {len(self.formats)} formats as the first"
        return " ".join(f"{name}={row.digest(name)}{'' if self.agrees(row, name) else '!'}" for name in self.formats)

    def report(self) -> Report:
        """One row for each format. JSON: {"agree", "of", "formats": {format: bool}, "runs": [rows]}."""
        unequal = {name: [row.name for row in self.rows if not self.agrees(row, name)] for name in self.formats}
        agree = f"all {len(self.rows)} agree"
        rows = [
            (name, self.rows[0].digest(name), f"not the same: {', '.join(runs)}" if runs else agree)
            for name, runs in unequal.items()
        ]
        document = {
            "agree": self.agreeing, "of": self.all, "formats": {name: not runs for name, runs in unequal.items()},
            "runs": [row.document() for row in self.rows],
        }  # fmt: skip
        return Report(str(self), [Table("formats", (), rows)], document)
