"""Progress: a live view of a build for a person at a terminal. Lines of stages that ran scroll by above it.

rich draws it, and is imported when the first stage is about to run: a build that has nothing to do never pays for it.
Without rich, or where the output is no terminal after all, the plain lines remain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, TextIO

from pipeline.host.terminal import escaped, printable
from pipeline.model import size
from pipeline.store import progress_counter
from pipeline.tasks.last_run import RESTORED, Event
from pipeline.tasks.reporter import LineReporter, is_stage

REFRESHED = 8
"""Times a second that the view is drawn anew."""
SHOWN = 8
"""Stages at work that are shown; with more threads than that, the rest are counted."""


class Work(NamedTuple):
    """A stage at work: when it began (monotonic seconds), and the bytes that it has moved."""

    begun: float
    meter: progress_counter.ProgressCounter


class LiveReporter(LineReporter):
    """Stages done of all, what runs now with bytes and rate, and what was restored."""

    desc = "a live view on a terminal, plain lines elsewhere"

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.total = 0
        self.work: dict[str, Work] = {}
        self.live: Any = None
        """rich's Live; None before the first stage, False where there is none."""
        self.guard = threading.Lock()

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        self.total = sum(is_stage(task) for task in closure(tasks, selected_tasks))

    def execute_task(self, task: Any) -> None:
        """Called in the thread that runs the task, so that the meter is that thread's."""
        super().execute_task(task)
        if not is_stage(task):
            return
        work = Work(time.monotonic(), progress_counter.ProgressCounter())
        progress_counter.current.set(work.meter)
        with self.guard:
            self.work[task.name] = work
            first, self.live = self.live is None, self.live or False
        if first and self.outstream.isatty():
            self.live = _live(self)  # it draws at once, and asks for our state for it

    def note(self, task: Any, outcome: str) -> Event:
        with self.guard:
            self.work.pop(task.name, None)
        return super().note(task, outcome)

    def write(self, text: str) -> None:
        if self.live:
            self.live.console.print(escaped(text), end="", markup=False, highlight=False, soft_wrap=True)
        else:
            super().write(text)

    def complete_run(self) -> None:
        if self.live:
            self.live.stop()
            self.live = False
        super().complete_run()

    def state(self) -> tuple[dict[str, Event], dict[str, Work]]:
        """What is done, and what is at work, as of now."""
        with self.guard:
            return dict(self.events), dict(self.work)


def told(moved: progress_counter.ProgressCounter, seconds: float) -> str:
    """How much a stage has moved in `seconds`, of how much and until when where it knows; "" for nothing."""
    if not moved.count:
        return ""
    rate = moved.count / max(seconds, 0.001)
    if not moved.total:
        return f"{size.shown(moved.count)}, {size.shown(rate)}/s"
    left = max(moved.total - moved.count, 0) / rate
    return f"{size.shown(moved.count)} of {size.shown(moved.total)}, {size.shown(rate)}/s, {left:.0f} s left"


def closure(tasks: Mapping[str, Any], selected: list[str]) -> list[Any]:
    """The tasks that a run of `selected` comes to."""
    found: dict[str, Any] = {}
    todo = list(selected)
    while todo:
        name = todo.pop()
        if name in tasks and name not in found:
            found[name] = tasks[name]
            todo += [*tasks[name].task_dep, *tasks[name].setup_tasks]
    return list(found.values())


def _live(reporter: LiveReporter) -> Any:
    """The view, started; False where there is no rich."""
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
        Text(f"{len(events)} of {reporter.total} stages"),
        Text(f"{restored} restored" if restored else "", style="cyan"),
    )
    rows = Table.grid(padding=(0, 2))
    rows.add_row(head)
    its = Table.grid(padding=(0, 2))
    for name, (begun, moved) in list(work.items())[:SHOWN]:
        its.add_row(
            Text(printable(f"  {name}"), style="bold"),
            Text(f"{now - begun:.1f} s", style="dim"),
            Text(told(moved, now - begun), style="green"),
        )
    rows.add_row(its)
    if len(work) > SHOWN:
        rows.add_row(Text(f"  and {len(work) - SHOWN} more", style="dim"))
    return rows
