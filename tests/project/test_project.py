"""A project's folder, and the paths of what belongs to it."""

from pathlib import Path

import pytest

from pipeline.host.atomic import SymlinkOnPath
from pipeline.model.errors import BadInput
from pipeline.project.project import ELSEWHERE, Project
from tests.project import new_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv(ELSEWHERE, raising=False)
    root = new_project(tmp_path / "p", b="files: []\n", a="files: []\n")
    monkeypatch.chdir(root)
    return Project(root)


def test_specs_are_named_in_order_and_loaded_by_name(project):
    assert project.names() == ["a", "b"]
    assert project.load("a").name == "a" and project.lock("a").images == {}
    assert (project.path("a"), project.lock_path("a")) == (Path("specs/a.yml"), Path("specs/a.lock"))
    assert project.results("a") == Path("build/a")


def test_the_store_may_be_elsewhere(project, tmp_path, monkeypatch):
    assert project.cache == project.root / "cache"
    monkeypatch.setenv(ELSEWHERE, str(tmp_path / "shared"))
    assert project.cache == tmp_path / "shared" and project.store.root == tmp_path / "shared"


def test_what_would_be_written_outside_is_refused(project, tmp_path, monkeypatch):
    project.check()
    (project.root / "cache").symlink_to(tmp_path)
    with pytest.raises(SymlinkOnPath, match=f"{ELSEWHERE} names a cache that is elsewhere"):
        project.check()
    monkeypatch.setenv(ELSEWHERE, "cache")
    project.check()
    (project.root / "build").symlink_to(tmp_path)
    with pytest.raises(SymlinkOnPath):
        project.make(project.results("a"))


def test_a_name_must_be_printable(project):
    (project.root / "specs/\x1b.yml").write_text("")
    with pytest.raises(BadInput, match="must be printable"):
        project.check()


def test_damage_is_that_of_the_start(project):
    assert project.damage == ""
    project.store.note(project.cache / "damage", b"token")
    assert project.damage == "" and Project(project.root).damage == "token"
