"""Problems: an error or a warning with its place in a file and a hint, for everything that reads files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from pipeline.model.errors import BadInput

KeyPath = tuple[str | int, ...]
"""Keys and indexes that lead to a value: ("services", 2, "command", 0)."""
Violations = Iterator[tuple[KeyPath, str, str]]
"""Broken rules of a value: path below the value, message, hint."""


class Place(NamedTuple):
    """A position in a file. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    place: Place
    message: str
    hint: str = ""
    """The correct form or a way out; "" if unknown."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class Problems(BadInput):
    """All problems of one or several files, in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))

    def shown(self) -> str:
        """The problems for a terminal: each with an excerpt of its line and a caret under the place."""
        return "\n".join(f"{problem}{_excerpt(problem.place)}" for problem in self.problems)


class StageProblem(BadInput):
    """A problem that only a stage can find. `path` leads to the value, inside the entry that the stage is for."""

    def __init__(self, path: KeyPath, message: str, hint: str = "") -> None:
        super().__init__(message + (f" ({hint})" if hint else ""))
        self.path = path
        self.message = message
        self.hint = hint

    @property
    def problems(self) -> tuple[StageProblem, ...]:
        """The single problems."""
        return (self,)


class StageProblems(StageProblem):
    """Several problems of one stage."""

    def __init__(self, problems: Sequence[StageProblem]) -> None:
        super().__init__(problems[0].path, "; ".join(map(str, problems)))
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[StageProblem, ...]:
        return self._problems


class SpecWarning(NamedTuple):
    """A value that is allowed but hardly meant. `path` is inside the entry, as in StageProblem."""

    path: KeyPath
    message: str
    hint: str = ""


SYNONYMS = {
    "x86_64": "amd64", "x86-64": "amd64", "x64": "amd64", "intel64": "amd64", "aarch64": "arm64", "armv8": "arm64",
    "arm64v8": "arm64", "gz": "gzip", "zst": "zstd", "zstandard": "zstd", "symlinks": "symlink", "content": "contents",
}  # fmt: skip
"""Word of another tool -> the word that is used here."""
MAX_COMPLETIONS = 3
"""Maximum number of names that are suggested for their common beginning."""
DID_YOU_MEAN = "did you mean "
"""Start of a hint that suggests another word."""
MIN_SIMILARITY = 0.65
"""Minimum similarity (difflib's ratio) of a wrong word and a suggestion."""

_collected: ContextVar[list[SpecWarning] | None] = ContextVar("collected", default=None)


def warn(path: KeyPath, message: str, hint: str = "") -> None:
    """Warns about the value at `path`. The warning is lost outside of `collect_warnings`."""
    if (warnings := _collected.get()) is not None:
        warnings.append(SpecWarning(path, message, hint))


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[SpecWarning]]:
    """Yields the list to which `warn` appends while the body runs, in this thread alone."""
    warnings: list[SpecWarning] = []
    token = _collected.set(warnings)
    try:
        yield warnings
    finally:
        _collected.reset(token)


def dotted(path: KeyPath) -> str:
    """Formats ("services", 2, "command") as `services[2].command`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def suggestion(word: str, known: Sequence[str]) -> str:
    """Returns "did you mean …?" with a synonym, completion or close match of `word` among `known`, else ""."""
    import difflib

    synonym = SYNONYMS.get(word.lower())
    names = [synonym] if synonym in known else [name for name in known if name.lower() == word.lower()]
    names = (
        names or [name for name in known if re.match(re.escape(word) + r"\b", name, re.IGNORECASE)][:MAX_COMPLETIONS]
    )
    names = names or difflib.get_close_matches(word, known, 1, MIN_SIMILARITY)
    return f"{DID_YOU_MEAN}{' or '.join(map(repr, names))}?" if names and word else ""


def _excerpt(place: Place) -> str:
    try:
        with open(place.file, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
    except OSError:
        return ""
    if not 0 < place.line <= len(lines):
        return ""
    line = lines[place.line - 1].expandtabs(1)
    start = max(0, place.column - 60)
    return f"\n    {line[start : start + 100]}\n    {' ' * (place.column - 1 - start)}^"
