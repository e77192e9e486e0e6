"""Problem: what is wrong in a file, where, and what would be right. One way to say it for all that reads files."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from pipeline.model.errors import BadInput

KeyPath = tuple[str | int, ...]
"""How to get to a value: ("services", 2, "command", 0)."""


class Place(NamedTuple):
    """Where something stands. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    place: Place
    message: str
    hint: str = ""
    """What would be right, if that is known."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class Problems(BadInput):
    """Everything that is wrong with a file (or with several), in the order of its lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))

    def shown(self) -> str:
        """The same for a terminal: under each problem its line, with a caret under the place."""
        return "\n".join(f"{problem}{_excerpt(problem.place)}" for problem in self.problems)


class StageProblem(BadInput):
    """What only a stage can find out: the value at `path`, inside the entry that it was planned for, is wrong."""

    def __init__(self, path: KeyPath, message: str, hint: str = "") -> None:
        super().__init__(message + (f" ({hint})" if hint else ""))
        self.path = path
        self.message = message
        self.hint = hint

    @property
    def each(self) -> tuple[StageProblem, ...]:
        """The problems, one by one."""
        return (self,)


class StageProblems(StageProblem):
    """Several problems that one stage found out."""

    def __init__(self, problems: Sequence[StageProblem]) -> None:
        super().__init__(problems[0].path, "; ".join(map(str, problems)))
        self._each = tuple(problems)

    @property
    def each(self) -> tuple[StageProblem, ...]:
        return self._each


class SpecWarning(NamedTuple):
    """Not wrong, but hardly meant. `path` is inside the entry, as in StageProblem."""

    path: KeyPath
    message: str
    hint: str = ""


SYNONYMS = {
    "x86_64": "amd64", "x86-64": "amd64", "x64": "amd64", "intel64": "amd64", "aarch64": "arm64", "armv8": "arm64",
    "arm64v8": "arm64", "gz": "gzip", "zst": "zstd", "zstandard": "zstd", "symlinks": "symlink", "content": "contents",
}  # fmt: skip
"""Words of other tools, and the one that is used here."""
SEVERAL = 3
"""Names that are offered where a word is the beginning of them."""
DID_YOU_MEAN = "did you mean "
"""Start of a hint that names another word."""
NEAR = 0.65
"""How alike two words must be (difflib's ratio) for one to be taken for a slip of the other."""

_heard: ContextVar[list[SpecWarning] | None] = ContextVar("heard", default=None)


def warn(path: KeyPath, message: str, hint: str = "") -> None:
    """Say that the value at `path` is hardly meant. Lost unless somebody listens."""
    heard = _heard.get()
    if heard is not None:
        heard.append(SpecWarning(path, message, hint))


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[SpecWarning]]:
    """The list that `warn` fills while the body runs, in this thread alone."""
    heard: list[SpecWarning] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def dotted(path: KeyPath) -> str:
    """("services", 2, "command") as services[2].command."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def suggestion(wrong: str, right: Sequence[str]) -> str:
    """ "did you mean …?" where one of `right` is near to `wrong` or another word for it, or begins so; else ""."""
    import difflib

    other = SYNONYMS.get(wrong.lower())
    near = [other] if other in right else [each for each in right if each.lower() == wrong.lower()]
    near = near or [each for each in right if re.match(re.escape(wrong) + r"\b", each, re.IGNORECASE)][:SEVERAL]
    near = near or difflib.get_close_matches(wrong, right, 1, NEAR)
    return f"{DID_YOU_MEAN}{' or '.join(map(repr, near))}?" if near and wrong else ""


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
