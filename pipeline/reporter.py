"""Reporter: what a build says. One line a stage that ran, and a summary; errors as one line, without a traceback.

On a terminal the reporter of `pipeline.progress` shows what is happening; these lines are for logs and pipes.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from doit.exceptions import TaskFailed
from doit.reporter import ConsoleReporter

BAD_INPUT = 3
"""Exit code when the input is wrong, as doit has it for a dodo.py that is."""


class Explained(TaskFailed):  # type: ignore[misc]
    """A failure whose text says everything: no traceback."""

    def __init__(self, message: str, bad_input: bool) -> None:
        super().__init__(message)
        self.bad_input = bad_input


class LineReporter(ConsoleReporter):  # type: ignore[misc]
    """Plain lines."""

    desc = "one line a stage that ran, and why"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.started = time.monotonic()
        self.begun: dict[str, float] = {}
        self.counts = {"ran": 0, "restored": 0, "up to date": 0}
        self.bad_input = False

    def execute_task(self, task: Any) -> None:
        self.begun[task.name] = time.monotonic()

    def add_success(self, task: Any) -> None:
        if "ran" not in (task.values or {}):
            return
        kind = "ran" if task.values["ran"] else "restored"
        self.counts[kind] += 1
        if kind == "ran":
            seconds = time.monotonic() - self.begun[task.name]
            reason = repr(task.uptodate[0][0]) if task.uptodate else ""
            self.write(f"{task.name}: ran in {seconds:.2f} s" + (f" ({reason})" if reason else "") + "\n")

    def skip_uptodate(self, task: Any) -> None:
        if task.actions:
            self.counts["up to date"] += 1

    def add_failure(self, task: Any, fail: Any) -> None:
        if not fail.report:
            return
        self.outstream.flush()
        if isinstance(fail, Explained):
            self.bad_input = self.bad_input or fail.bad_input
            sys.stderr.write(f"{fail.message}\n")
        else:
            sys.stderr.write(f"{task.name}: {fail.get_msg()}\n")

    def complete_run(self) -> None:
        if self.runtime_errors:
            sys.stderr.write("\n".join(self.runtime_errors) + "\n")
        if any(self.counts.values()):
            counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
            self.write(f"{counts} in {time.monotonic() - self.started:.2f} s\n")
        if self.bad_input:
            raise SystemExit(BAD_INPUT)
