"""Seen: what planning looks at on the host, noted, so that a plan can be remembered while all of that is the same.

Whoever plans asks the host through observations: functions of plain arguments that are marked `@tracked_input`, here or
elsewhere. A test holds this: it watches which files a plan opens.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")
Note = tuple[str, list[str], str]
"""An tracked_input's name (module:function), its arguments as text, and what it came to."""

_notes: ContextVar[list[Note] | None] = ContextVar("notes", default=None)


_trackers: dict[str, Callable[..., Any]] = {}
"""Every tracked_input by its name: a remembered note names one of these, and is no way to call anything else."""


def tracked_input(look: Callable[Given, Found]) -> Callable[Given, Found]:
    """`look`, whose outcome (or OSError) is noted by whoever is record_inputs. Its arguments are paths or texts."""
    name = f"{look.__module__}:{look.__name__}"

    @wraps(look)
    def noted(*given: Given.args, **options: Given.kwargs) -> Found:
        notes = _notes.get()
        if notes is None:
            return look(*given, **options)
        try:
            found = look(*given, **options)
        except OSError as error:
            notes.append((name, [str(each) for each in given], _outcome(error)))
            raise
        notes.append((name, [str(each) for each in given], _outcome(found)))
        return found

    _trackers[name] = look
    return noted


@contextlib.contextmanager
def record_inputs() -> Iterator[list[Note]]:
    """Collect notes of all observations of this thread."""
    notes: list[Note] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def unchanged(notes: list[Note]) -> bool:
    """Whether every tracked_input would come to the same now."""
    return all(_again(name, given) == outcome for name, given, outcome in notes)


def _again(name: str, given: list[str]) -> str:
    """What the tracked_input `name` comes to now; "" if there is none of that name."""
    module = name.partition(":")[0]
    if name not in _trackers and module.startswith("pipeline."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    try:
        return _outcome(_trackers[name](*given)) if name in _trackers else ""
    except OSError as error:
        return _outcome(error)


def _outcome(found: Any) -> str:
    if isinstance(found, bytes):
        return hashlib.sha256(found).hexdigest()
    return type(found).__name__ if isinstance(found, OSError) else repr(found)


@tracked_input
def contents(path: Path | str) -> bytes:
    """All of a file's bytes. OSError if it cannot be read."""
    with open(path, "rb") as file:
        return file.read()


@tracked_input
def is_file(path: Path | str) -> bool:
    return os.path.isfile(path)


@tracked_input
def real(path: Path | str) -> str:
    """The absolute path without symlinks of what `path` leads to, whether anything is there or not."""
    return os.path.realpath(path)


@tracked_input
def listing(folder: Path | str, ending: str) -> list[str]:
    """The names in `folder` that end in `ending`, in order; none if there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(ending))
    except (FileNotFoundError, NotADirectoryError):
        return []


@tracked_input
def variable(name: str) -> str | None:
    """A variable of the environment."""
    return os.environ.get(name)
