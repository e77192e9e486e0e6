"""Every command in a code block of the documents runs.

The blocks of a document share one project, in their order. A block that cannot run in a test has a comment before it,
`<!-- not run: REASON -->`.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.project import ROOT, run_doit

DOCUMENTS = [
    *(path for path in sorted(ROOT.glob("*.md")) if path.name != "CHANGELOG.md"),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "extending.md"),  # has a test of its own
    *(ROOT / "benchmarks").glob("*.md"),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "images").rglob("*.md")),
]
PROGRAMS = {
    "./kiln",
    "doit",
    "nodekiln",
    "python",
    ".venv/bin/python",
    "pip",
    "ssh",
    "xorriso",
    "printf",
    "qemu-system-x86_64",
}
"""First words by which a line of a block is a command."""
PASSED = ("```console", "```text")
"""Starts of blocks without commands for this test: tests/docs/test_pages.py runs some, and others are output."""
DOIT = ("doit", "nodekiln")
PLACEHOLDERS = {"qcow2-bios": "tar", "FOLDER": "build/node", "REF": "registry.example/nodes/node:v1"}
"""Words that a reader replaces -> what the tests replace them with."""


class Command(NamedTuple):
    """A command of a document. line: where it stands; reason: why it does not run in a test, else empty."""

    document: Path
    line: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def commands(document: Path) -> Iterator[Command]:
    """Yields the commands of the indented and fenced blocks of a document."""
    fence, reason, lines = "", "", document.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fence = "" if fence else line
        elif fence in PASSED:
            continue
        elif comment := re.fullmatch(r"<!-- not run: (.+) -->", line):
            reason = comment[1]
        elif fence or line.startswith("    "):
            text = line.strip().removeprefix("$ ")
            if program(text) in PROGRAMS:
                yield Command(document, number, text.removesuffix("\\"), reason)
        elif line.strip():
            reason = ""


def program(text: str) -> str:
    """Returns the first word of a command that sets no variable, or an empty text."""
    return next((word for word in text.split() if not re.match(r"[A-Z_]+=", word)), "")


COMMANDS = [command for document in DOCUMENTS for command in commands(document)]


def marked(command: Command) -> Any:
    marks = [pytest.mark.skip(reason=command.reason)] if command.reason else []
    if command.text.startswith("./kiln build"):
        marks.append(pytest.mark.network)
    if any(option in command.text for option in ("--full", "--runs", "--jobs", "--json table", "--formats all")):
        marks.append(pytest.mark.slow)
    return pytest.param(command, id=str(command), marks=marks)


@pytest.mark.parametrize("command", [marked(command) for command in COMMANDS])
def test_a_command_of_a_document_runs(command: Command, project: Path, registry: str) -> None:
    text = re.split(r" {2,}|\s#\s", command.text)[0]
    for word, replacement in PLACEHOLDERS.items():
        text = text.replace(word, replacement)
    perform(project, text.replace("registry.example", registry))


def perform(project: Path, text: str) -> None:
    """Runs the command in the project."""
    variables, words = {}, shlex.split(text)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[0] == "./kiln" and words[1] != "test":
        ended = run_doit(*words[1:], cwd=ROOT, NODEKILN_CACHE=str(ROOT / "cache"))
    elif words[0] in DOIT and words[1].startswith("serve"):
        ended = served(project, words[1:])
    elif words[0] in DOIT:
        ended = run_doit(*words[1:], cwd=project, clean=True, PYTHONPATH=str(project), **variables)
    elif words[1] == "test" or words[1:3] == ["-m", "pytest"]:
        ended = collected(words[2 if words[1] == "test" else 3 :])
    else:
        environment = {**os.environ, "HOME": str(project / "home")}
        ended = subprocess.run(text, shell=True, cwd=project, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def collected(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs pytest with these words, but for the tests themselves: they are this run."""
    paths = [] if any(word.startswith("tests/") for word in words) else ["tests/model", "tests/writers/test_limits.py"]
    command = [sys.executable, "-m", "pytest", *words, *paths, "--collect-only", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "NODEKILN_TEST_PATIENCE": "1"}  # nothing that takes time runs
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def served(project: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a server until it prints its first line, and ends it as ^C does."""
    command = [sys.executable, "-u", "-m", "doit", *words, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests may run where ^C is ignored
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    code = 0 if first and process.returncode == 128 + signal.SIGINT else process.returncode or 1
    return subprocess.CompletedProcess(command, code, first + rest, "")


def test_what_does_not_run_is_little() -> None:
    assert 4 * len([command for command in COMMANDS if command.reason]) <= len(COMMANDS) and len(COMMANDS) > 30
