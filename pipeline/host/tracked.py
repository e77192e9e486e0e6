"""Tracked inputs: reads of the host that planning records, so that a plan can be reused while they are unchanged.

Planning reads the host only through functions with the decorator `@tracked_input`. A test compares them with the files
that a plan opens.
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

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Input = tuple[str, list[str], str]
"""Name of the function (module:function), its arguments as strings, a fingerprint of its result."""

_recorded: ContextVar[list[Input] | None] = ContextVar("recorded", default=None)
_functions: dict[str, Callable[..., Any]] = {}
"""Every tracked function by its name. `unchanged` calls no others."""


def tracked_input(read: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorator: records calls of `read` with their results or OSErrors. Its arguments are paths or strings."""
    name = f"{read.__module__}:{read.__name__}"

    @wraps(read)
    def recording(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        inputs = _recorded.get()
        if inputs is None:
            return read(*args, **options)
        try:
            result = read(*args, **options)
        except OSError as error:
            inputs.append((name, [*map(str, args)], _fingerprint(error)))
            raise
        inputs.append((name, [*map(str, args)], _fingerprint(result)))
        return result

    _functions[name] = read
    return recording


@contextlib.contextmanager
def record_inputs() -> Iterator[list[Input]]:
    """Yields the list to which tracked functions append while the body runs, in this thread."""
    inputs: list[Input] = []
    token = _recorded.set(inputs)
    try:
        yield inputs
    finally:
        _recorded.reset(token)


def unchanged(inputs: list[Input]) -> bool:
    """Calls the functions again. Returns True if all have the recorded results."""
    return all(_current(name, args) == fingerprint for name, args, fingerprint in inputs)


def _current(name: str, args: list[str]) -> str:
    """Returns the fingerprint of a tracked function's current result; "" if there is no such function."""
    module = name.partition(":")[0]
    if name not in _functions and module.startswith("pipeline."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    try:
        return _fingerprint(_functions[name](*args)) if name in _functions else ""
    except OSError as error:
        return _fingerprint(error)


def _fingerprint(result: Any) -> str:
    if isinstance(result, bytes):
        return hashlib.sha256(result).hexdigest()
    return type(result).__name__ if isinstance(result, OSError) else repr(result)


@tracked_input
def contents(path: Path | str) -> bytes:
    """Returns the bytes of a file. OSError."""
    with open(path, "rb") as file:
        return file.read()


@tracked_input
def is_file(path: Path | str) -> bool:
    return os.path.isfile(path)


@tracked_input
def real(path: Path | str) -> str:
    """Returns the absolute path without symlinks; nothing need exist there."""
    return os.path.realpath(path)


@tracked_input
def listing(folder: Path | str, ending: str) -> list[str]:
    """Returns the names in `folder` that end in `ending`, sorted; [] for a missing folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(ending))
    except (FileNotFoundError, NotADirectoryError):
        return []


@tracked_input
def variable(name: str) -> str | None:
    """Returns an environment variable; None if it is not set."""
    return os.environ.get(name)
