"""Unexpected errors, wherever they are raised: one line that asks for a report; a traceback for who asks for it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.tasks import command
from tests.project import declare, run_doit

SPEC = "files: [{path: etc/hostname, contents: node}]\nbuild: {formats: [tar], arch: amd64}\n"
LINE = r"nodekiln: unexpected error: ValueError: a \\x1b\[31m fault \(while doing (.*), in (pipeline/\S+:\d+)\); "
RAISE = "def fail(*_, **__):\n    raise ValueError('a\\n\\x1b[31m fault')\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with two specs."""
    (tmp_path / "specs").mkdir()
    for name in ("node", "other"):
        (tmp_path / f"specs/{name}.yml").write_text(SPEC)
    declare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODEKILN_DEBUG", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path


def broken(code: str) -> None:
    """Run `code` before nodekiln's loader; in it, `fail` raises an unexpected error."""
    Path("broken.py").write_text(f"{RAISE}{code}\nfrom pipeline.tasks import Loader\n")
    declare(Path(), "broken")


def check(done: subprocess.CompletedProcess[str], code: int, doing: str) -> None:
    """The run ended with the one line, and with `code`."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if "nodekiln: " in line]
    assert done.stderr.splitlines() == lines and lines, done.stderr
    found = re.match(LINE, lines[0])
    assert found and found[1] == doing, lines[0]
    assert "report it with" in lines[0] and "--debug" in lines[0]
    assert "Traceback" not in done.stdout


STAGE = "from pipeline.writers import tar\ntar.write_members = fail"


def test_a_stage() -> None:
    broken(STAGE)
    check(run_doit("build:node"), 2, "build:node:format/tar")
    assert "1 failed" in run_doit("build:node").stdout


@pytest.mark.parametrize(("words", "variables"), [(["--debug"], {}), ([], {"NODEKILN_DEBUG": "1"})])
def test_who_asks_gets_the_traceback(words: list[str], variables: dict[str, str]) -> None:
    broken(STAGE)
    done = run_doit("build:node", *words, **variables)
    assert done.returncode == 2 and "Traceback (most recent call last)" in done.stderr
    assert "tar.py" in done.stderr and re.search(LINE, done.stderr)
    broken("")
    assert run_doit("build:node", *words, **variables).returncode == 0


def test_machines_get_one_line_too() -> None:
    broken(STAGE)
    done = run_doit("-r", "json", "build:node")
    errors = [task["error"] for task in json.loads(done.stdout)["tasks"] if task["error"]]
    assert any(re.match(LINE, error) for error in errors) and "Traceback" not in done.stdout + done.stderr


def test_a_plan_that_cannot_be_made_spares_other_specs() -> None:
    broken(
        "from pipeline.project.project import Project\nload = Project.load\n"
        "Project.load = lambda self, name: fail() if name == 'node' else load(self, name)"
    )
    done = run_doit("build:node")
    assert done.returncode == 2 and "unexpected error: ValueError" in done.stderr and "Traceback" not in done.stderr
    assert run_doit("build:other").returncode == 0
    assert run_doit("list").returncode == 0


@pytest.mark.parametrize("code", [
    "from pipeline.tasks import state\nstate.StateDB._open = fail",
    "from pipeline.tasks import request\nrequest.Request.commands = fail",
    "from pipeline.project.project import Project\nProject.names = fail",
    "from pipeline.tasks import uptodate\nuptodate.same = fail",
    "from pipeline.tasks.reporter import LineReporter\nLineReporter.note = fail",
])  # fmt: skip
def test_what_is_outside_of_tasks(code: str) -> None:
    broken(code)
    done = run_doit("build:node")
    assert done.returncode == 3 and "Traceback" not in done.stderr + done.stdout
    assert len([line for line in done.stderr.splitlines() if "unexpected error: ValueError" in line]) == 1, done.stderr
    assert "Traceback" in run_doit("build:node", NODEKILN_DEBUG="1").stderr


def test_a_thread_of_its_own() -> None:
    broken(
        "import threading\nfrom pipeline.tasks import command\nnames = command.names\n"
        "def in_thread():\n    thread = threading.Thread(target=fail)\n    thread.start()\n    thread.join()\n"
        "    return names()\ncommand.names = in_thread"
    )
    done = run_doit("list")
    assert "unexpected error: ValueError" in done.stderr and "Traceback" not in done.stderr


COMMANDS = [
    name for name in command.names() if name not in ("formats", "init", "keys", "shared", "worker")
]  # which look at no project
ALONE = {
    "cve": ["--db", "known"],
    "compare": ["node", "other"],
    "image": ["hello"],
    "push": ["--to", "a.b/c:1"],
    "gc": [],
    "fsck": [],
}
"""Words of the commands that want some."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command(name: str) -> None:
    Path("images/hello").mkdir(parents=True)
    Path("images/hello/build.yml").write_text('image: hello\nfiles: [{path: bin/hello, contents: ""}]\n')
    Path("known").mkdir()
    Path("known/A.json").write_text('{"id": "A", "affected": []}')
    broken(
        "from pipeline.project.project import Project\nfrom pipeline.recipe import recipe\n"
        "Project.load = Project.lock = recipe.load = fail\nProject.store = Project.results = property(fail)"
    )
    task = name if name in ("compare", "image", "gc", "fsck") else f"{name}:node"
    done = run_doit(task, *ALONE.get(name, []))
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert re.fullmatch(r"(nodekiln: unexpected error: ValueError: .*\n)+", done.stderr), done.stderr


@pytest.mark.parametrize(("error", "said"), [
    ("MemoryError()", "nodekiln: not enough memory (while doing build:node:format/tar)\n"),
    ("PermissionError(13, 'Permission denied', 'build/x')",
     "nodekiln: [Errno 13] Permission denied: 'build/x' (while doing build:node:format/tar)\n"),
])  # fmt: skip
def test_what_the_machine_is_to_blame_for_is_no_fault_of_ours(error: str, said: str) -> None:
    broken(f"from pipeline.writers import tar\ndef failing(*_):\n    raise {error}\ntar.write_members = failing")
    done = run_doit("build:node")
    assert (done.returncode, done.stderr) == (1, said)


def test_a_state_that_cannot_be_written() -> None:
    Path("build").touch()
    done = run_doit("build:node")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert done.stderr.startswith("nodekiln: ") and "fault" not in done.stderr
    Path("build").unlink()
    Path("build/.doit.db").mkdir(parents=True)
    done = run_doit("build:node")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "fault of nodekiln" not in done.stderr, done.stderr


def test_a_recursion_without_end() -> None:
    broken("from pipeline.writers import tar\ntar.write_members = lambda *a: tar.write_members(*a)")
    done = run_doit("build:node")
    assert done.returncode == 2 and "unexpected error: RecursionError" in done.stderr
    assert len(done.stderr.splitlines()) == 1
