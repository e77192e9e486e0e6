"""Progress: a live view of a build on a terminal, below the lines of stages that ran.

rich draws it, and is imported when the first stage is about to run: a build with nothing to do does not pay for it.
Without rich, or if the output is not a terminal after all, the plain lines remain.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TextIO

from pipeline.host.terminal import escaped, printable
from pipeline.tasks import process
from pipeline.tasks.heartbeat import Work, described
from pipeline.tasks.last_run import RESTORED, Event
from pipeline.tasks.reporter import LineReporter, is_stage, is_watched

REFRESHED = 8
"""Refreshes of the view per second."""
SHOWN = 8
"""Maximum number of running stages in the view; the rest are counted."""


class LiveReporter(LineReporter):
    """Stages done of all, the running ones with bytes and rate, and the number restored."""

    desc = "a live view on a terminal, plain lines elsewhere"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.total = 0
        self.live: Any = None
        """rich's Live; None before the first stage, False if there is none."""

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        self.total = sum(is_stage(task) for task in closure(tasks, selected_tasks))

    def execute_task(self, task: Any) -> None:
        """Called in the thread that runs the task, so that the meter is that thread's."""
        super().execute_task(task)
        if not is_watched(task):
            return
        with self.guard:
            first, self.live = self.live is None, self.live or False
        if first and self.outstream.isatty():
            self.live = _live(self)  # it draws at once, and asks for our state for it
            process.before_repeat(self.stop)

    def beats(self) -> bool:
        """Returns False once there is a view."""
        return not self.live

    def write(self, text: str) -> None:
        if self.live:
            self.live.console.print(escaped(text), end="", markup=False, highlight=False, soft_wrap=True)
        else:
            super().write(text)

    def complete_run(self) -> None:
        self.stop()
        super().complete_run()

    def stop(self) -> None:
        """Removes the view from the terminal."""
        live, self.live = self.live, False
        if live:
            live.stop()

    def state(self) -> tuple[dict[str, Event], dict[str, Work]]:
        """Returns the finished and the running stages."""
        with self.guard:
            return dict(self.events), dict(self.work)


def closure(tasks: Mapping[str, Any], selected: list[str]) -> list[Any]:
    """Returns the tasks `selected` and all that they depend on."""
    found: dict[str, Any] = {}
    todo = list(selected)
    while todo:
        name = todo.pop()
        if name in tasks and name not in found:
            found[name] = tasks[name]
            todo += [*tasks[name].task_dep, *tasks[name].setup_tasks]
    return list(found.values())


def _live(reporter: LiveReporter) -> Any:
    """Starts the view; returns False without rich."""
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return False
    live = Live(
        get_renderable=lambda: _view(reporter),
        console=Console(file=reporter.outstream),
        refresh_per_second=REFRESHED,
        transient=True,
    )
    live.start()
    return live


def _view(reporter: LiveReporter) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    events, work = reporter.state()
    now = time.monotonic()
    head = Table.grid(padding=(0, 1))
    restored = sum(event.outcome == RESTORED for event in events.values())
    head.add_row(
        ProgressBar(total=max(reporter.total, 1), completed=len(events), width=30),
        Text(f"{len(events)} of {reporter.total} stages" if reporter.total else "before the first stage"),
        Text(f"{restored} restored" if restored else "", style="cyan"),
    )
    rows = Table.grid(padding=(0, 2))
    rows.add_row(head)
    its = Table.grid(padding=(0, 2))
    for name, (begun, moved) in list(work.items())[:SHOWN]:
        its.add_row(
            Text(printable(f"  {name}"), style="bold"),
            Text(f"{now - begun:.1f} s", style="dim"),
            Text(described(moved, now - begun), style="green"),
        )
    rows.add_row(its)
    if len(work) > SHOWN:
        rows.add_row(Text(f"  and {len(work) - SHOWN} more", style="dim"))
    return rows
