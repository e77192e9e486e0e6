"""doit init: projects that a person makes, and what is printed of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project import ROOT, doit, new_project

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project without a spec, of a user without keys."""
    monkeypatch.chdir(new_project(tmp_path / "here"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NODEKILN_PACKAGES", f"file:{tmp_path}")
    return tmp_path / "here"


def test_a_project_in_another_folder(project: Path) -> None:
    (project.parent / ".ssh").mkdir()
    (project.parent / ".ssh/id_ed25519.pub").write_text(KEY)
    told = doit("init", "a/new one", "--name", "edge", "--ci=none")
    assert (
        f"file:{project.parent}" in (project / "a/new one/pyproject.toml").read_text()
        and "specs/edge.yml" in told
        and "in a/new one: `doit build:edge` builds" in told
    )
    assert "me@here" in (project / "a/new one/specs/edge.yml").read_text()
    assert "specs/edge.yml: right, 0 warnings" in doit("check", "--alone", cwd=project / "a/new one")
    assert not (project / "a/new one/.github").exists() and sorted(path.name for path in project.iterdir()) == [
        "a", "pyproject.toml", "specs",
    ]  # fmt: skip


def test_a_project_here_and_again(project: Path) -> None:
    told = doit("init")
    assert (
        "there already, and left as it is: pyproject.toml\n" in told and "it lacks: [tool.nodekiln]; packages" in told
    )
    assert "`doit build:node` builds" in told
    (project / "specs/schema.json").write_text("{}")
    (project / ".gitignore").write_text("*.o\n")
    told = doit("init")
    assert "made:" not in told and not list(project.glob("specs/*.yml"))[1:]
    assert ".gitignore is yours; it lacks: /build/; /cache/; /.venv/; __pycache__/\n" in told
    assert "specs/schema.json is of another version of nodekiln: `doit init --update` replaces it" in told
    assert "specs/sources.schema.json, specs/trust.schema.json\n" in doit("init", "--update")
    assert (project / "specs/schema.json").read_bytes() == (ROOT / "specs/schema.json").read_bytes()
    assert "specs/other.yml" in doit("init", "--name=other") and "build:other" in doit("list")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "`doit init DIR`: one folder, not 2"),
        (["pyproject.toml"], "pyproject.toml is not a folder"),
        (["--name=a/b"], "--name a/b: letters and digits"),
        (["--ci=jenkins"], "--ci jenkins: there are github, gitlab and none"),
        (["--mirror=ftp://x"], "'ftp://x' is not a URL: use https://"),
        (["--key=none.pub"], "none.pub: there is no such file"),
        (["--nmae=x"], "its options: --name"),
    ],
)
def test_a_mistake_makes_nothing(project: Path, words: list[str], message: str) -> None:
    assert message in doit("init", *words, code=3)
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml", "specs"]


def test_without_a_spec_every_command_says_how_to_begin(project: Path) -> None:
    for words in (["check"], ["check:node"], ["build"], ["build:node"], ["run:node"], ["lock", "--check"], ["push"]):
        assert doit(*words, code=3) == "no specs/NAME.yml here: `doit init` makes a project\n"
    assert "no specs/NAME.yml here" in doit("list")
    assert "qcow2-bios" in doit("formats")
    assert not (project / "build").exists()


NO_APT = {"PATH": "/nowhere"}
"""Environment of a host without apt."""


def test_a_mirror_is_asked_for_where_none_is_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODEKILN_PACKAGES")
    assert "warning: no mirror of debian is known: set NODEKILN_PACKAGES" in doit("init", "quiet", **NO_APT)
    screen, keyboard = os.openpty()
    os.write(screen, b"https://mirror.example/\n")
    command = [sys.executable, "-m", "doit", "init", "asked"]
    environment = {**os.environ, **NO_APT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdin=keyboard, env=environment, capture_output=True, text=True)
    assert "This host names no mirror of Debian." in done.stdout and done.returncode == 0
    settings = tomllib.loads((project / "asked/pyproject.toml").read_text())["tool"]["nodekiln"]
    assert settings == {"packages": ["https://mirror.example"]}
    assert "warning" not in doit("init", "asked", **NO_APT)
