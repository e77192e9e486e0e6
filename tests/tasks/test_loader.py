"""nodekiln as a plug-in of doit: its projects, projects with a dodo.py, and other projects in the same environment."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import formats, tasks
from pipeline.tasks import command
from pipeline.tasks.request import Request
from tests.project import ROOT, declare, new_project

SPEC = "files: [{path: etc/hostname, contents: node}]\nbuild: {arch: amd64, formats: [tar]}\n"


def installed(*words: str, code: int = 0, module: bool = False) -> str:
    """Runs the installed doit in the working folder, with nothing of this repository on Python's path."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = [sys.executable, "-m", "doit"] if module else [str(Path(sys.executable).with_name("doit"))]
    ended = subprocess.run([*start, *words], capture_output=True, text=True, env=inherited)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with a spec, and no dodo.py."""
    monkeypatch.chdir(new_project(tmp_path / "project", node=SPEC))
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    return tmp_path / "project"


# nodekiln's own projects


def test_a_project_without_a_dodo_py(project: Path) -> None:
    assert "run:node" in installed("list") and not (project / "dodo.py").exists()
    assert "build:node:tar" in installed("list", "--all", "build:node")
    assert "ran in" in installed() and (project / "build/node/node.tar").exists()
    assert installed("-n", "2", "build:node").startswith("0 ran, 0 restored")
    assert installed("build:node:tar").startswith("0 ran, 0 restored")
    assert "specs/node.yml: right" in installed("check")
    assert "specs/node.yml: right" in installed("check:node", "lock:node", "--check", "build")
    assert "build/node/node.tar" in installed("clean") and not (project / "build/node/node.tar").exists()
    assert "_doit()" in installed("tabcompletion")


def test_a_command_s_words_and_options(project: Path) -> None:
    installed("build")
    told = installed("help", "compare")
    assert told.startswith("compare  A B  ") and "--form=ARG" in told and "[default: HEAD]" in told
    for words in (["--form", "json", "build/node", "build/node"], ["build/node", "--form=json", "build/node"]):
        assert installed("compare", *words).startswith("{")
    told = installed("compare", "build/node", "build/node", "--from", "x", code=3)
    assert told == "ERROR: compare: option --from not recognized (its options: --base --form --to --help --debug)\n"
    assert "--help" in installed("lock:node", "-h")
    assert "invalid literal" in installed("size:node", "--top", "x", code=3)


@pytest.mark.parametrize(("words", "told"), [
    (["build:nod"], "'build:nod' (did you mean 'build:node'?)"),
    (["build:node:tarr"], "'build:node:tarr' (did you mean 'build:node:tar'?)"),
    (["lokc:node", "--x"], "'lokc:node' (did you mean 'lock:node'?)"),
    (["info", "biuld"], "'biuld' (did you mean 'build'?)"),
    (["zzz"], "'zzz'"),
    (["size:nod"], "'size:nod' (did you mean 'size:node'?)"),
    (["zise:node"], "'zise:node' (did you mean 'size:node'?)"),
    (["init:node"], "'init:node'"),
])  # fmt: skip
def test_a_name_that_is_no_task(project: Path, words: list[str], told: str) -> None:
    assert installed(*words, code=3) == f"there is no task {told}: `doit list` prints all\n"


def test_options_of_a_task_have_defaults_in_pyproject(project: Path) -> None:
    with open("pyproject.toml", "a") as file:
        file.write('[tool.doit.tasks."graph:node"]\nformat = "dot"\n')
    installed("build")
    assert installed("graph:node") == "build/node/graph.dot\n"


def test_what_boots_each_format(project: Path) -> None:
    found = formats.find("raw-efi")
    row = rf"^raw-efi +{re.escape(found.firmware.value)} +{re.escape(found.summary)}$"
    assert re.search(row, installed("formats"), re.MULTILINE)
    assert "what boots each" in installed("list")


def test_every_command_has_help_for_its_options() -> None:
    for name in command.names():
        found = command.find(name)
        assert found.doc and all(option["help"] for option in found.options)


@pytest.mark.parametrize(("words", "meant"), [
    ((), []), (("build",), []), (("build:node:tar",), []), (("build/node/node.tar",), []), (("lock",), ["lock"]),
    (("check:node", "build"), ["check"]), (("*:node",), ["check", "lock"]), (("lock:node", "--update", "x"), ["lock"]),
])  # fmt: skip
def test_only_tasks_that_are_meant_are_made(words: tuple[str, ...], meant: list[str]) -> None:
    assert Request("run", words).commands(["check", "lock"]) == meant
    assert Request("list").commands(["check", "lock"]) == ["check", "lock"]
    assert Request().commands(["check", "lock"]) == ["check", "lock"]


def test_only_formats_that_are_meant_have_tasks() -> None:
    assert Request("run", ("build:node",)).formats("node") == ()
    assert "raw-efi" in Request("run", ("build:node:raw-efi",)).formats("node")
    assert Request("run", ("build:node:raw-efi",)).formats("other") == ()
    assert "raw-efi.zst" not in Request("run", ("build:node:raw-efi",)).formats("node")
    assert "raw-efi.zst" in Request("run", ("build:node:raw-efi.gz",)).formats("node")
    assert "raw-efi" in Request("list", (), everything=True).formats("node")
    assert "raw-efi.zst" in Request().formats("node")


# a dodo.py with tasks of its own


def test_tasks_beside_ours(project: Path) -> None:
    Path("pyproject.toml").unlink()
    own = "\n\ndef task_mine():\n    return {'actions': ['echo mine'], 'verbosity': 2}\n"
    Path("dodo.py").write_text((ROOT / "dodo.py").read_text() + own)
    told = installed("list")
    assert {"mine", "lock", "build:node"} <= {line.split()[0] for line in told.splitlines()}
    assert "mine" in installed("mine") and "ran in" in installed("build:node")
    assert "specs/node.yml: right" in installed("check:node")
    assert "specs/node.yml: right" in installed("check", "mine")
    assert "node.tar" in installed("clean", "build:node")
    assert len((ROOT / "dodo.py").read_text().splitlines()) <= 15


def test_a_configuration_changes_nothing() -> None:
    def process() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
        return gc.get_threshold(), handlers, dict(os.environ), sys.excepthook

    before = process()
    assert tasks.config()["backend"] == "nodekiln"
    assert process() == before


WORDS = re.compile(r"SqliteDB\._|sys\.(orig_)?argv|\bgetopt\b|/proc/self|gc\.set|\batexit\b")


def test_one_module_changes_the_process() -> None:
    """Nothing else reads the command line, patches doit, or leaves something behind in the process."""
    modules = [*(ROOT / "pipeline/tasks").glob("*.py"), *(ROOT / "pipeline/commands").glob("*.py")]
    assert [path.name for path in modules if WORDS.search(path.read_text())] == ["console.py", "process.py"]


# other projects of the environment

FOREIGN = '''
import pipeline

assert pipeline.WHOSE == "mine"


def task_check():
    """their check"""
    return {"actions": ["echo their check"], "verbosity": 2, "targets": ["made"], "clean": True}


def task_lock():
    """their lock"""
    return {"actions": ["touch made"]}
'''


@pytest.mark.parametrize("module", [False, True])
def test_another_project_sees_doit_s_own_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: bool
) -> None:
    """It has tasks with the names of our commands, and a module with the name of our package."""
    monkeypatch.chdir(tmp_path)
    Path("dodo.py").write_text(FOREIGN)
    Path("pipeline.py").write_text('WHOSE = "mine"\n')
    assert installed("list", module=module) == "check   their check\nlock    their lock\n"
    assert "their check" in installed("run", "check", module=module) and "lock" in installed(module=module)
    assert installed("clean", "check", module=module) == "check - removing file 'made'\n"
    commands = set(re.findall(r"^  \S+ (\S+)  ", installed("help", module=module), re.MULTILINE))
    assert commands == {
        "clean", "dumpdb", "forget", "help", "ignore", "info", "list", "reset-dep", "run", "strace", "tabcompletion",
    }  # fmt: skip
    declare(Path())  # as soon as it asks for our loader, it has ours
    assert "no specs/NAME.yml here" in installed("list")
