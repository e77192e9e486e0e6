"""Pages of docs/reference that people write, held against the code, the files and the commands that they describe."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.project import ROOT, new_project, run_doit

REFERENCE = ROOT / "docs/reference"
INTERNAL = {"NODEKILN_RESOLVED", "NODEKILN_SILENT"}
"""Variables that nodekiln sets for a doit that it starts again."""
DEVELOPMENT = {"NODEKILN_INCREMENTAL", "NODEKILN_NEWEST"}
"""Variables that CONTRIBUTING.md describes."""


def rows(page: str) -> list[str]:
    """Returns what is marked as code in the first column of the tables of a page."""
    lines = re.findall(r"^\| (`[^|]+) \|", (REFERENCE / page).read_text(), re.MULTILINE)
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line)]


def test_the_environment_variables_are_those_that_the_code_reads() -> None:
    sources = [*(ROOT / "pipeline").rglob("*.py"), ROOT / "nodekiln_doit.py", ROOT / "kiln"]
    read = {name for source in sources for name in re.findall(r"\bNODEKILN_[A-Z_]+\b", source.read_text())}
    listed = {name for name in rows("environment.md") if name.startswith("NODEKILN_")}
    assert read - INTERNAL - DEVELOPMENT == listed
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(name in contributing for name in DEVELOPMENT)


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the path of each value of a JSON document that contains no other; `[]` stands for the items of a list."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, (*path[:-1], f"{path[-1]}[]"))
    elif path:
        yield path


def undocumented(document: Any, page: str) -> set[tuple[str, ...]]:
    """Returns the paths of a document that no row of a page is about. Capital letters in a row are any key."""
    known = [row.split(".") for row in rows(page)]

    def is_known(path: tuple[str, ...]) -> bool:
        return any(
            len(row) <= len(path)
            and all(word.rstrip("[]").isupper() or word == key for word, key in zip(row, path, strict=False))
            for row in known
        )

    return {path for path in paths(document) if not is_known(path)}


def test_every_key_of_a_lock_has_a_row(project: Path) -> None:
    assert undocumented(json.loads((project / "specs/node.lock").read_text()), "lock.md") == set()
    assert undocumented(json.loads((ROOT / "specs/node.lock").read_text()), "lock.md") == set()
    assert undocumented({"packages": {"sshd": {"amd64": {"packages": [{"colour": 1}]}}}}, "lock.md") != set()


def test_every_key_of_a_record_has_a_row(project: Path) -> None:
    record = json.loads((project / "build/node/manifest.json").read_text())
    assert undocumented(record, "manifest.md") == set() and undocumented(record | {"host": "me"}, "manifest.md")


def test_every_path_of_a_store_has_a_row(project: Path) -> None:
    known = [re.sub(r"[A-Z]{2,}", "[^/]+", re.escape(row)) for row in rows("store.md")]
    files = [path.relative_to(project / "cache").as_posix() for path in (project / "cache").rglob("*")]
    folders = {str(Path(row).parent) for row in rows("store.md")} | {"actions", "blobs", "sums"}
    assert [file for file in files if not any(re.fullmatch(pattern, file) for pattern in known)
            and file not in folders and not re.fullmatch("(actions|sums)/[0-9a-f]{2}", file)] == []  # fmt: skip


def test_exit_codes_are_those_of_the_page(tmp_path: Path) -> None:
    right = "files: [{path: a, contents: b}]\nbuild: {formats: [tar]}\n"
    root = new_project(tmp_path / "project", right=right, wrong="x: 1")
    ended = {
        0: ["build:right"],
        1: ["run:right", "--format", "raw-bios"],  # which is not built
        3: ["build:wrong"],
    }
    assert {code: run_doit(*words, cwd=root).returncode for code, words in ended.items()} == {0: 0, 1: 1, 3: 3}
    assert [run_doit(*words, cwd=root).returncode for words in (["build:right", "--nonsense"], ["nonsense"])] == [3, 3]


def test_an_interrupted_command_ends_with_128_and_the_signal(project: Path) -> None:
    command = [sys.executable, "-u", "-m", "doit", "serve:node", "--port", "0"]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests may run where ^C is ignored
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            command, cwd=project, env={**os.environ, "PYTHONPATH": str(project)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=heeding,
        ) as process:  # fmt: skip
            assert process.stdout is not None and process.stdout.readline()
            process.send_signal(number)
        assert process.returncode == 128 + number
    assert "130 is ^C, 143 is SIGTERM" in (REFERENCE / "exit-codes.md").read_text()
