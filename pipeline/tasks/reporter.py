"""Reporter: a build's output: a line for each stage that ran, and a summary; errors as one line, without a traceback.

On a terminal the reporter of `pipeline.tasks.progress` shows what is happening; these lines are for logs and pipes.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from doit.exceptions import TaskError, TaskFailed
from doit.reporter import ConsoleReporter
from doit.reporter import JsonReporter as DoitJsonReporter

from pipeline.host.terminal import escaped, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.store import progress_counter
from pipeline.tasks import crash, last_run, process, warnings
from pipeline.tasks.heartbeat import Heartbeat, Work, running
from pipeline.tasks.last_run import FAILED, RAN, RESTORED, UP_TO_DATE, Event

if TYPE_CHECKING:
    from pipeline.shared.cache import Counts

WATCHED = "watched"
"""Key of a task's metadata: it shows that it is running, although it is no stage."""


class Explained(TaskFailed):  # type: ignore[misc]
    """A failure that is printed as its text alone."""

    def __init__(self, message: str, bad_input: bool) -> None:
        super().__init__(message)
        self.bad_input = bad_input


class Crashed(TaskError):  # type: ignore[misc]
    """An unexpected error, described; doit's exit code for it is 2."""


def explained(task: str, run: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """Calls `run` as the action of the doit task `task`. Every error becomes a failure without a traceback: one that a
    person can mend with its own text, any other described (pipeline.tasks.crash)."""
    if options.pop(crash.NAME, False):
        crash.show_tracebacks()
    try:
        result = run(*arguments, **options)
        sys.stdout.flush()
        return result
    except NodekilnError as error:
        shown = getattr(error, "shown", None)  # problems, with the lines that they are in
        return Explained(shown() if shown and sys.stderr.isatty() else str(error), isinstance(error, BadInput))
    except BrokenPipeError as error:
        if not _unread(sys.stdout):
            return Explained(crash.described(error, task), bad_input=False)
        _silence(sys.stdout)
        return None
    except crash.MACHINE as error:
        return Explained(crash.described(error, task), bad_input=False)
    except Exception as error:
        return Crashed(crash.described(error, task))


explained.__signature__ = signature(explained)  # type: ignore[attr-defined]  # which doit looks at for every task


def _silence(stream: TextIO) -> None:
    """Discards what is written from now on: `doit size:node | head` has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unread(stream: TextIO) -> bool:
    """Returns whether `stream` is a pipe that nobody reads any more (poll(2))."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


class LineReporter(ConsoleReporter):  # type: ignore[misc]
    """Plain lines. Only stages count: tasks whose `uptodate` has an action."""

    desc = "one line a stage that ran, and why"
    folder = Path("build")
    """Folder of the record of the last run."""

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        super().__init__(outstream, options)
        self.begun: dict[str, float] = {}
        self.events: dict[str, Event] = {}
        self.bad_input = False
        self.refused: set[str] = set()
        """The lines of errors."""
        self.damaged: list[str] = []
        """A line for each damaged object of the store."""
        self.said: set[str] = set()
        self.work: dict[str, Work] = {}
        """The watched tasks that are running."""
        self.guard = threading.Lock()
        self.heartbeat = Heartbeat(self.beat)

    def write(self, text: str) -> None:
        """Prints `text` at once."""
        self.heartbeat.touch()
        self.print(text)

    def print(self, text: str) -> None:
        """Prints `text` at once; a build goes on when nobody reads any more."""
        try:
            self.outstream.write(escaped(text))
            self.outstream.flush()
        except BrokenPipeError:
            if not _unread(self.outstream):
                raise
            _silence(self.outstream)

    def execute_task(self, task: Any) -> None:
        """Called in the thread that runs the task, so that the meter is that thread's."""
        self.begun[task.name] = time.monotonic()
        if not is_watched(task):
            return
        work = Work(time.monotonic(), progress_counter.ProgressCounter())
        progress_counter.current.set(work.meter)
        with self.guard:
            self.work[task.name] = work
        self.heartbeat.start()

    def beat(self) -> None:
        """Prints what is running."""
        with self.guard:
            work = dict(self.work)
        if work and self.beats():
            self.print(running(work))

    def beats(self) -> bool:
        """Returns whether silence is to be broken by lines."""
        return True

    @crash.guarded
    def add_success(self, task: Any) -> None:
        self.leave(task)
        self.tell_damage()
        ran = (task.values or {}).get("ran")
        if ran is None:
            return
        event = self.note(task, RAN if ran else RESTORED)
        if ran:
            reason = why(task)
            self.write(f"{task.name}: ran in {event.seconds:.2f} s" + (f" ({reason})" if reason else "") + "\n")

    @crash.guarded
    def skip_uptodate(self, task: Any) -> None:
        if is_stage(task):
            self.note(task, UP_TO_DATE)

    def skip_ignore(self, task: Any) -> None:
        self.write(f"{task.name}: ignored, as {user_command('ignore')} was told\n")

    @crash.guarded
    def add_failure(self, task: Any, fail: Any) -> None:
        self.leave(task)
        self.tell_damage()
        if is_stage(task):
            self.note(task, FAILED)
        if not fail.report:
            return
        self.outstream.flush()
        if isinstance(fail, Explained | Crashed):
            self.bad_input = self.bad_input or getattr(fail, "bad_input", False)
            self.refused.update(str(fail.message).splitlines())
            if fail.message not in self.said:  # two that ran side by side may have met the same fault
                say(fail.message, error=True)
            self.said.add(fail.message)
        else:
            say(f"{task.name}: {fail.get_msg()}", error=True)

    def leave(self, task: Any) -> None:
        """Notes that a task is not running any more."""
        with self.guard:
            self.work.pop(task.name, None)

    @crash.guarded
    def complete_run(self) -> None:
        self.heartbeat.stop()
        if self.runtime_errors:
            say("\n".join(self.runtime_errors), error=True)
        warned = warnings.take(self.refused)
        self.outstream.flush()
        for text in warned:
            say(f"warning: {text}", error=True)
        if self.events:
            count = f", {len(warned)} warning{'s' * (len(warned) > 1)}" if warned else ""
            self.write(f"{counted(self.events)}{count}{self.finish_shared()} in {process.age():.2f} s\n")
        if self.damaged:
            self.write("\n".join([f"damaged objects of the cache: {len(self.damaged)}", *self.damaged, ""]))
        if self.events:
            last_run.write(self.folder, self.events)
        process.end_run()
        if self.bad_input:
            raise SystemExit(crash.BAD_INPUT)

    def finish_shared(self) -> str:
        """Waits for what is being pushed to shared caches; returns what came from there, for the summary."""
        return "".join(f" (shared: {each})" for each in finish_shared(self.folder))

    def tell_damage(self) -> None:
        """Warns of what was found damaged in the store since the last call."""
        if "pipeline.store.errors" not in sys.modules:  # nothing of the store was looked at
            return
        from pipeline.store.errors import damage_notices

        lines, damage_notices[:] = [*damage_notices], []
        self.damaged += lines
        for line in lines:
            say(f"warning: {line}", error=True)

    def note(self, task: Any, outcome: str) -> Event:
        """Keeps the outcome of a task."""
        begun = self.begun.pop(task.name, None)
        event = Event(outcome, 0.0 if begun is None else round(time.monotonic() - begun, 3))
        self.events[task.name] = event
        return event


class JsonReporter(DoitJsonReporter):  # type: ignore[misc]
    """doit's JSON document, with the figures of the shared caches as `shared`, a list, if any was used."""

    outstream: TextIO

    def complete_run(self) -> None:
        counts = finish_shared(LineReporter.folder)
        target, self.outstream = self.outstream, io.StringIO()
        super().complete_run()
        document = json.loads(self.outstream.getvalue())
        json.dump(document | ({"shared": [vars(each) for each in counts]} if counts else {}), target)


def finish_shared(folder: Path) -> list[Counts]:
    """Waits for what is being pushed to shared caches; returns the figures of each, and notes them in `folder`."""
    if "pipeline.shared.client" not in sys.modules:  # nothing was missing, and nothing made
        return []
    from pipeline.shared.client import finish_all

    counts = finish_all()
    last_run.write_shared(folder, [vars(each) for each in counts])
    return counts


def chosen(outstream: TextIO) -> type[LineReporter]:
    """Returns the reporter for a run: a live view on a terminal, else lines."""
    if outstream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from pipeline.tasks.progress import LiveReporter

        return LiveReporter
    return LineReporter


def is_stage(task: Any) -> bool:
    """Returns whether a task performs or publishes an action."""
    return any(hasattr(check, "action") for check, *_ in task.uptodate)


def is_watched(task: Any) -> bool:
    """Returns whether a task shows that it is running: a stage, or the resolving of names before the first one."""
    return is_stage(task) or bool(task.meta and task.meta.get(WATCHED))


def why(task: Any) -> str:
    """Returns why a stage was not up to date, in few words."""
    for check, *_ in task.uptodate:
        if hasattr(check, "action"):
            return str(getattr(check, "summary", "") or check)
    return ""


def counted(events: Mapping[str, Event]) -> str:
    """Returns how many tasks ran, were restored and were up to date; and how many failed, if any did."""

    def numbers() -> Iterator[str]:
        for outcome in (RAN, RESTORED, UP_TO_DATE, FAILED):
            count = sum(event.outcome == outcome for event in events.values())
            if count or outcome != FAILED:
                yield f"{count} {outcome}"

    return ", ".join(numbers())
