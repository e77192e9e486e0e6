"""The files of a new project: made where they are not there, and never overwritten."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline import __version__
from pipeline.host import atomic
from pipeline.model.errors import BadInput
from pipeline.planning import check
from pipeline.project import template
from tests.project import ROOT

KEY = 'ssh-ed25519 AAAA "me" @ü'
PROJECT = {
    ".github/workflows/build.yml", ".gitignore", ".vscode/settings.json", "README.md", "images/hello/build.yml",
    "images/hello/index.html", "pyproject.toml", "requirements.txt", "specs/edge.yml", "specs/schema.json",
    "specs/recipe.schema.json", "specs/sources.schema.json", "specs/trust.schema.json",
}  # fmt: skip


def test_a_project_has_all_files_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = template.files("edge", [KEY], ["https://a", "file:/b"])
    assert {*files} == PROJECT and not any("@NAME@" in text or "@VERSION@" in text for text in files.values())
    assert files["requirements.txt"] == f"nodekiln=={__version__}\n"
    assert tomllib.loads(files["pyproject.toml"])["tool"]["nodekiln"] == {"packages": ["https://a", "file:/b"]}
    assert {*json.loads(files[".vscode/settings.json"])["yaml.schemas"]} == {*template.SCHEMAS}
    spec = yaml.safe_load(files["specs/edge.yml"])
    assert [file["contents"] for file in spec["files"]] == [f"{KEY}\n"]
    assert files["specs/edge.yml"].startswith("# yaml-language-server: $schema=schema.json\n")
    assert template.write(tmp_path, files) == ([*files], [])
    monkeypatch.chdir(tmp_path)
    assert check.check(Path("specs/edge.yml")) == check.CheckResult([], [])


def test_without_a_key_the_spec_shows_where_one_would_be() -> None:
    text = template.files("node")["specs/node.yml"]
    assert "files" not in yaml.safe_load(text)
    with_one = yaml.safe_load(text.replace("# files:", "files:").replace("#   - {path", "  - {path"))
    assert with_one["files"][0]["contents"] == "ssh-ed25519 AAAA… name\n"


def test_ci_is_one_of_some_or_none() -> None:
    assert {*template.files("edge", ci="gitlab")} ^ PROJECT == {".gitlab-ci.yml", ".github/workflows/build.yml"}
    assert PROJECT - {*template.files("edge", ci="none")} == {".github/workflows/build.yml"}
    for ci in ("github", "gitlab"):
        assert "NODEKILN_LOCKED" in str(yaml.safe_load(template.files("edge", ci=ci)[template.CI[ci]]))


@pytest.mark.parametrize("name", ["a/b", "..", "-x", "a b", "ü", "x" * 64, "a\n"])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(BadInput, match="letters and digits"):
        template.files(name)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/cache/ # big\n*.o\n")
    (tmp_path / "README.md").symlink_to("nowhere")
    files = template.files("edge")
    made, kept = template.write(tmp_path, files)
    assert kept == ["README.md", ".gitignore"] and {*made} == PROJECT - {*kept}
    assert (tmp_path / ".gitignore").read_text() == "/cache/ # big\n*.o\n"
    assert [*template.lacking(tmp_path, files)] == [(".gitignore", ["/build/", "/.venv/", "__pycache__/"])]
    assert template.write(tmp_path, files) == ([], [*files])
    assert template.write(tmp_path, files, ["README.md"])[0] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == files["README.md"] and not (tmp_path / "nowhere").exists()


def test_a_project_with_specs_gets_no_other(tmp_path: Path) -> None:
    assert PROJECT - {*template.files("")} == {
        "images/hello/build.yml", "images/hello/index.html", "specs/edge.yml",
    }  # fmt: skip


def test_a_symlink_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/specs").symlink_to(tmp_path)
    with pytest.raises(atomic.SymlinkOnPath):
        template.write(tmp_path / "project", template.files("edge"))
    assert not (tmp_path / "edge.yml").exists()


def test_the_schemas_are_this_version_s() -> None:
    assert all(template.files("")[path] == (ROOT / path).read_text() for path in template.SCHEMAS)
