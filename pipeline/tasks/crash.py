"""Crash: an unexpected error becomes one line that names it and asks for a report; `--debug` shows its traceback, too.

Errors that a person can mend are NodekilnErrors and have a text of their own (pipeline.tasks.reporter). Everything else
that is raised is a fault of nodekiln, unless the machine is to blame (MACHINE).
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pipeline
from pipeline.host.terminal import escaped, say

NAME = "debug"
OPTION = f"--{NAME}"
"""Word of the command line, behind a task's name: shows tracebacks."""
VARIABLE = "NODEKILN_DEBUG"
"""Environment variable: `1` is the same as OPTION, for commands of doit that take no option of ours."""
PARAM = {"name": NAME, "long": NAME, "type": bool, "default": False, "help": "show tracebacks"}
"""The option, as doit describes it."""
MACHINE = (OSError, MemoryError, sqlite3.OperationalError)
"""Errors that the machine is to blame for: a full disk, a folder that may not be written."""
REPORT = f"this is a fault of nodekiln, not of your input: report it with what the same command prints with {OPTION}"


def debugging() -> bool:
    """Returns whether tracebacks are to be shown."""
    return OPTION in sys.argv or os.environ.get(VARIABLE, "0") not in ("", "0")


def described(error: BaseException, doing: str) -> str:
    """The text for an unexpected `error`: one line, behind the traceback where that was asked for.

    doing: the task or the command that raised it.
    """
    line = f"nodekiln: {_line(error, doing)}"
    if not debugging():
        return line
    import traceback

    return "".join([*traceback.format_exception(error), line])


def install() -> None:
    """Describe what is raised outside tasks, too: by doit's other commands, while tasks are made, and in threads."""
    from doit import doit_cmd

    def current() -> str:
        return escaped(f"{described(sys.exception() or RuntimeError(), _command())}\n")

    doit_cmd.traceback = SimpleNamespace(format_exc=current)  # of which doit uses nothing else
    sys.excepthook = _excepthook
    threading.excepthook = lambda args: _excepthook(args.exc_type, args.exc_value, args.exc_traceback)


def _excepthook(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> Any:
    if error is None or not isinstance(error, Exception):
        return None if kind is SystemExit else sys.__excepthook__(kind, error or kind(), trace)
    return say(described(error, _command()), error=True)


def _line(error: BaseException, doing: str) -> str:
    kind, text = type(error).__name__, _printable(str(error))
    if isinstance(error, MemoryError):
        return f"not enough memory (while doing {doing})"
    if isinstance(error, MACHINE):
        return f"{text or kind} (while doing {doing})"
    place = _place(error.__traceback__)
    where = f"{doing}, in {place}" if place else doing
    return f"unexpected error: {kind}: {text} (while doing {where}); {REPORT}"


def _place(trace: TracebackType | None) -> str:
    """The innermost line of nodekiln that `trace` names, as `pipeline/planning/plan.py:12`; "" if there is none."""
    folder, place = Path(pipeline.__file__).parent, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f"{folder.name}/{file.relative_to(folder)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _command() -> str:
    return _printable(" ".join(["doit", *sys.argv[1:]]))


def _printable(text: str) -> str:
    """`text` in one line, without what a terminal would obey."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape", "replace").decode() for each in line)
