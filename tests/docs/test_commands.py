"""Every command in a code block of the documents runs.

The blocks of a document share one project, in their order. A block that cannot run in a test has a comment before it,
`<!-- not run: REASON -->`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.recipe import recipe
from tests.judges import need
from tests.oci import craft, servers
from tests.project import ROOT, new_project, run_doit

DOCUMENTS = [
    *(path for path in sorted(ROOT.glob("*.md")) if path.name != "CHANGELOG.md"),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "extending.md"),  # has a test of its own
    *(ROOT / "benchmarks").glob("*.md"),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "images").rglob("*.md")),
]
PROGRAMS = {"./kiln", "doit", "python", ".venv/bin/python", "pip", "ssh", "xorriso", "printf", "qemu-system-x86_64"}
"""First words by which a line of a block is a command."""
SPEC = """\
kernel: {image: "kernel:1", tar: none, cmdline: "console=ttyS0"}
init: ["init:1"]
services:
  - {name: sshd, image: "@pkg:images/sshd"}
files:
  - {path: etc/motd, contents: hello}
build: {arch: amd64, formats: [kernel+initrd, tar]}
"""
RECIPE = """\
image: sshd
arches: [amd64]
files:
  - {path: usr/sbin/sshd, contents: sshd, mode: "0755"}
cmd: [/usr/sbin/sshd]
"""
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
    fence, reason, lines = False, "", document.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fence = not fence
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
    return pytest.param(command, id=str(command), marks=marks)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Path:
    """A project of one node whose images lie in a layout, built and pushed, with an earlier build beside it."""
    place = tmp_path_factory.mktemp("documents")
    root = new_project(place / "project", node=SPEC)
    for name in ("pipeline", "images"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "images/sshd/build.yml").write_text(RECIPE)
    loaded = recipe.load(root / "images/sshd")
    locked = {"amd64": {"request": loaded.request("amd64"), "packages": []}}
    (root / "specs/node.lock").write_text(json.dumps({"version": 1, "images": {}, "packages": {"sshd": locked}}))
    for name, paths in (("kernel", ["kernel"]), ("init", ["init", "sbin/init", "usr/bin/runc", "usr/bin/containerd"])):
        layer = craft.archive(*(craft.entry(path, data=name.encode(), mode=0o755) for path in paths))
        craft.image(place / "layout", [layer], name=f"docker.io/library/{name}:1", config={})
    with (root / "pyproject.toml").open("a") as file:
        file.write(f'[tool.nodekiln]\nmirror = ["docker.io=oci:{place}/layout"]\n')
    (root / ".gitignore").write_text("/build/\n/cache/\n__pycache__/\n/home/\n")
    (root / "home/.ssh").mkdir(parents=True)
    (root / "home/.ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAA me\n")
    perform(root, "doit build:node")
    perform(root, f"doit push:node --to {registry}/nodes/node:v1")
    shutil.copytree(root / "build/node", root / "build/old")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([need("git"), *identity, *words], cwd=root, check=True)
    return root


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
    elif words[0] == "doit" and words[1].startswith("serve"):
        ended = served(project, words[1:])
    elif words[0] == "doit":
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
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


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
    assert len([command for command in COMMANDS if command.reason]) <= 5 and len(COMMANDS) > 30
