"""Crash: an unexpected error becomes one line that names it and asks for a report; `--debug` prints its traceback, too.

Errors that a person can mend are NodekilnErrors and have a text of their own. Everything else that is raised is a fault
of nodekiln, unless the machine is to blame (MACHINE).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

import pipeline
from pipeline.host.terminal import printable, say
from pipeline.model.errors import NodekilnError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

BAD_INPUT = 3
"""Exit code when the input is wrong, or tasks cannot be made: doit's own for a dodo.py that is."""
NAME = "debug"
VARIABLE = "NODEKILN_DEBUG"
"""Environment variable: `1` is the same as the option, for commands of doit that take no option of ours."""
OPTION = {"name": NAME, "long": NAME, "type": bool, "default": False, "help": "show tracebacks"}
"""The option `--debug` of every task, as doit describes it."""
MACHINE = (OSError, MemoryError, sqlite3.OperationalError)
"""Errors that the machine is to blame for: a full disk, a folder without permission to write."""
REPORT = f"this is a fault of nodekiln, not of your input: report it with what the same command prints with --{NAME}"

_typed = ["doit"]
"""The command line."""


def prepare(typed: str, debug: bool) -> None:
    """Names the command line in what is printed from now on, and prints errors of threads as one line, too."""
    _typed[:] = [typed]
    if debug:
        show_tracebacks()
    threading.excepthook = lambda error: say(described(error.exc_value or RuntimeError(), typed), error=True)


def show_tracebacks() -> None:
    """Shows tracebacks from now on, in this process and those that it starts."""
    os.environ[VARIABLE] = "1"


def described(error: BaseException, doing: str) -> str:
    """Returns the text for an unexpected `error`: one line, after the traceback if tracebacks are shown.

    doing: the task or the command that raised it.
    """
    line = f"nodekiln: {_line(error, doing)}"
    if os.environ.get(VARIABLE, "0") in ("", "0"):
        return line
    import traceback

    return "".join([*traceback.format_exception(error), line])


@contextmanager
def guard() -> Iterator[None]:
    """Ends doit with one line, and exit code 3, for an error of the body: where doit would print a traceback."""
    try:
        yield
    except NodekilnError as error:
        say(error, error=True)
        raise SystemExit(BAD_INPUT) from None
    except Exception as error:
        say(described(error, _typed[0]), error=True)
        raise SystemExit(BAD_INPUT) from None


def guarded(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Returns `call`, under `guard`. For what doit calls in its main thread."""

    @wraps(call)
    def under_guard(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with guard():
            return call(*arguments, **options)

    return under_guard


def _line(error: BaseException, doing: str) -> str:
    kind, text, doing = type(error).__name__, _one_line(str(error)), _one_line(doing)
    if isinstance(error, MemoryError):
        return f"not enough memory (while doing {doing})"
    if isinstance(error, MACHINE):
        return f"{text or kind} (while doing {doing})"
    place = _place(error.__traceback__)
    where = f"{doing}, in {place}" if place else doing
    return f"unexpected error: {kind}: {text} (while doing {where}); {REPORT}"


def _place(trace: TracebackType | None) -> str:
    """Returns the innermost line of nodekiln in `trace`, such as `pipeline/planning/plan.py:12`, or ""."""
    folder, place = Path(pipeline.__file__).parent, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(folder) and file != Path(__file__):
            place = f"{folder.name}/{file.relative_to(folder)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
