"""doit's own commands on this project, as a person runs them: clean, info, list, --help; and what ^C says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from pipeline.project.publish import unpublish_all
from tests import patience
from tests.oci import servers
from tests.project import ROOT, doit, new_project

SPEC = """\
files: [{path: etc/hostname, contents: node}]
build: {arch: amd64, formats: [tar, kernel+initrd]}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with one spec that needs no network."""
    root = new_project(tmp_path / "project", node=SPEC)
    monkeypatch.chdir(root)
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    return root


def results() -> list[str]:
    return sorted(str(path.relative_to("build")) for path in Path("build").rglob("*") if path.parent != Path("build"))


def visible() -> list[str]:
    return [name for name in results() if not name.startswith(".")]


def test_clean_removes_all_that_a_build_wrote() -> None:
    doit("build")
    doit("size:node")
    assert {"node/SHA256SUMS", "node/manifest.json", "node/node.tar", "node/size.html"} <= set(visible())
    doit("clean", "--dry-run")
    assert "node/node.tar" in visible()
    told = doit("clean")
    assert not visible() and "build/node/node.tar" in told
    assert "ran" in doit("build") and "node/manifest.json" in visible()
    doit("clean", "build:node")
    assert not visible()
    doit("clean")


def test_clean_of_a_format_removes_that_formats_files() -> None:
    doit("build")
    before = set(visible())
    doit("clean", "build:node:tar")
    assert before - set(visible()) == {"node/node.tar"}
    assert list(json.loads(Path("build/node/manifest.json").read_text())["formats"]) == ["kernel+initrd"]
    assert "node.tar" not in Path("build/node/SHA256SUMS").read_text()
    doit("clean", "build:node:kernel+initrd")
    assert not visible()


def test_clean_keeps_what_is_not_ours_and_stays_inside(tmp_path: Path) -> None:
    doit("build")
    Path("build/node/notes").write_text("mine")
    (tmp_path / "precious").write_text("mine")
    manifest = json.loads(Path("build/node/manifest.json").read_text())
    for name in ("../../../precious", str(tmp_path / "precious"), "..", "."):
        manifest["formats"]["tar"]["files"][name] = {"sha256": "0" * 64, "size": 1}
    Path("build/node/manifest.json").write_text(json.dumps(manifest))
    doit("clean")
    assert visible() == ["node/notes"] or visible() == ["node", "node/notes"]
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"formats": 5}', '{"formats": {"tar": []}}'])
def test_clean_does_without_a_record(text: str) -> None:
    doit("build")
    Path("build/node/manifest.json").write_text(text)
    doit("clean")
    assert not [name for name in visible() if name != "node"]


def test_clean_of_several_architectures(project: Path) -> None:
    (project / "specs/node.yml").write_text(SPEC.replace("amd64", "[amd64, arm64]"))
    doit("build")
    assert "node/arm64/manifest.json" in visible()
    assert unpublish_all(Path("build/node"))
    assert not visible()


def test_info_of_a_group_is_that_of_its_formats() -> None:
    assert "status     : run" in doit("info", "build:node", code=1)
    doit("build")
    for group in ("build", "build:node", "build:node:tar"):
        assert "status     : up-to-date" in doit("info", group)
    Path("build/node/node.tar").unlink()
    assert "build:node:tar: node.tar is gone" in doit("info", "build:node", code=1)
    doit("build")
    Path("specs/node.yml").write_text(SPEC.replace("contents: node", "contents: other"))
    told = doit("info", "build", code=1)
    assert "status     : run" in told and "build:node:tar: " in told and "build:node:kernel+initrd: " in told


LISTING = [["list"], ["list", "--all", "build:node"], ["info", "build"]]


@pytest.mark.parametrize("words", [*LISTING, ["build"], ["plan:node"]])
def test_nobody_reads_on(words: list[str]) -> None:
    """`doit list | head -1`: no traceback, and a build goes on to its end."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-u", "-m", "doit", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writing)
    told = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert told == [] and done.returncode in (0, -signal.SIGPIPE)
    assert words != ["build"] or (done.returncode == 0 and Path("build/node/node.tar").exists())


@pytest.mark.parametrize("command", ["serve:node", "lock", "run:node", "compare", "push:node"])
def test_help_of_a_command(command: str) -> None:
    told = doit(command, "--help")
    assert told.startswith(f"{command}  ") and "--help" in told and "CmdOption" not in told


UNLOCKED = [
    ["size:node"], ["plan:node"], ["why:node"], ["graph:node"], ["verify:node"], ["push:node", "--to", "a.b/c:1"],
]  # fmt: skip


@pytest.mark.parametrize("words", UNLOCKED)
def test_a_command_that_needs_a_lock_names_the_one_that_writes_it(words: list[str]) -> None:
    Path("specs/node.yml").write_text('init: ["a:1"]\nbuild: {arch: amd64, formats: [tar]}\n')
    told = doit(*words, code=1)
    assert told == "specs/node.lock lacks docker.io/library/a:1 (amd64): run `doit lock:node` first\n"


def test_an_option_that_is_not_there() -> None:
    told = doit("serve:node", "--prot", "5", code=3)
    assert "option --prot not recognized" in told and "--port" in told and "CmdOption" not in told


@pytest.mark.parametrize("name", ["nope", "build/nope", "node.tar", "./nope"])
def test_a_path_that_is_missing_is_not_an_image(name: str) -> None:
    doit("build")
    told = doit("compare", name, "build/node", code=3)
    assert name in told and "NODEKILN_OFFLINE" not in told


def test_an_interrupted_build_says_that_the_next_one_resumes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def wait(request: servers.Request) -> bool:
        asked.set()
        return not go_on.wait(patience.seconds(60)) and request.answer(500)

    monkeypatch.delenv("NODEKILN_OFFLINE")
    with servers.server() as far:
        far.rules.append(wait)
        (project / "specs/node.yml").write_text(f'init: ["{far.host}/a:1"]\nbuild: {{formats: [tar]}}\n')
        heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "-m", "doit", "build"], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=heeding,
        )  # fmt: skip
        assert asked.wait(patience.seconds(60))
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=patience.seconds(60))
        go_on.set()
    assert process.returncode == 128 + signal.SIGINT and "Traceback" not in told
    assert told.endswith("interrupted: what is done is kept, and the next build resumes there\n")


def test_messages_name_the_command_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`doit build:node` first" in doit("serve:node", code=1)
    monkeypatch.setenv("NODEKILN_COMMAND", "./kiln")
    assert "`./kiln build:node` first" in doit("serve:node", code=1)
