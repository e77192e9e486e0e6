"""doit image --copy: a recipe of nodekiln becomes one of the project, which wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import ROOT, doit, new_project

SPEC = 'init: ["@pkg:images/metadata"]\nonboot: [{name: x, image: "@pkg:images/metadata"}]\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project without recipes."""
    monkeypatch.chdir(new_project(tmp_path / "project", uses=SPEC, other='init: ["@pkg:images/metadata-x"]\n'))
    return tmp_path / "project"


def test_own_recipes_win(project: Path) -> None:
    assert "specs/uses.yml: right" in doit("check:uses", "--alone")
    told = doit("image:metadata", "--copy")
    assert "copied to images/metadata: README.md, build.yml, init/lua/json.lua," in told
    assert told.endswith('"@pkg:images/metadata" is this one from now on, in specs/uses.yml\n')
    assert (project / "images/metadata/yaml.lua").read_bytes() == (ROOT / "images/metadata/yaml.lua").read_bytes()
    with open("images/metadata/build.yml", "a") as file:
        file.write("imaeg: x\n")
    assert "images/metadata/build.yml:" in doit("check:uses", "--alone", code=3)


def test_a_copy_overwrites_nothing(project: Path) -> None:
    (project / "images/sshd").mkdir(parents=True)
    told = doit("image", "--copy", "sshd", code=3)
    assert told.startswith("images/sshd is there already, and is not overwritten")
    assert doit("image", "sshx", "--copy", code=3).startswith("no recipe sshx comes with nodekiln: there are ca-cert")
    assert doit("image", "../images/sshd", "--copy", code=3).startswith("no recipe ../images/sshd comes with nodekiln")
    assert [*(project / "images").rglob("*")] == [project / "images/sshd"]
