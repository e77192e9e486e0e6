"""Pages whose files and commands make a project: `` `path`: `` before a block names its file, `$ ` starts a command.

The lines below a command are a part of what it prints; `…` stands for anything. A block that cannot run in a test has a
comment before it, `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCED = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n\n)?(?:^`(?P<path>[^`\n]+)`:\n\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Command(NamedTuple):
    """A command of a page, the lines that it has to print, and the reason why it does not run in a test, or ""."""

    text: str
    prints: tuple[str, ...]
    reason: str


class OwnFile(NamedTuple):
    """A file that a page has its reader write."""

    path: str
    text: str


def steps(page: Path) -> Iterator[Command | OwnFile]:
    """Yields the files and commands of a page, in order."""
    for block in FENCED.finditer(page.read_text("utf-8")):
        if block["path"]:
            yield OwnFile(block["path"], block["text"])
        elif block["language"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield Command(command, tuple(output.splitlines()), block["reason"] or "")


def commands(page: Path) -> Iterator[Command]:
    """Yields the commands of a page."""
    yield from (step for step in steps(page) if isinstance(step, Command))


def is_printed(line: str, output: str) -> bool:
    """Returns True if a line of a page is in the output of its command."""
    pattern = ".*".join(re.escape(part.strip()) for part in line.strip().split("…"))
    return re.search(pattern.replace(r"\ ", " +"), output) is not None
