"""Targets: where a spec's tasks and results are, for one architecture and for several, and what its lock lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.project.targets import chosen
from tests.project import EMPTY_LOCK, new_project

SPEC = "build: {{arch: {}, formats: [tar]}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A spec for one architecture, one for two, and one that names an image that is not locked."""
    image = 'init: ["example.org/none:1"]\n' + SPEC.format("amd64")
    root = new_project(tmp_path / "project", one=SPEC.format("amd64"), two=SPEC.format("[amd64, arm64]"), image=image)
    (root / "specs/one.lock").write_text(EMPTY_LOCK)
    monkeypatch.chdir(root)
    return Project(root)


def test_names_and_folders(project: Project) -> None:
    (one,) = project.targets("one")
    assert (one.title, one.folder, one.task("files")) == ("one", Path("build/one"), "build:one:files")
    amd64, arm64 = project.targets("two")
    assert (arm64.title, arm64.folder) == ("two (arm64)", Path("build/two/arm64"))
    assert arm64.task("a\nb") == "build:two:arm64/a\\nb" and amd64.task("tar") == "build:two:amd64/tar"
    assert (arm64.plan.arch, amd64.plan.arch) == ("arm64", "amd64")


def test_one_of_several(project: Project) -> None:
    assert project.target("two").arch == "amd64" and project.target("two", "arm64").arch == "arm64"
    with pytest.raises(BadInput, match=r"^specs/two.yml is built for amd64, arm64, not for s390x$"):
        project.target("two", "s390x")


def test_what_the_lock_lacks(project: Project, tmp_path: Path) -> None:
    (target,) = project.targets("image")
    with pytest.raises(NodekilnError, match=r"^specs/image.lock lacks example.org/none:1.*: run `doit lock:image`"):
        target.locked("tar")
    (one,) = project.targets("one", tmp_path / "nowhere.lock")
    assert one.locked("tar") is one.plan


def test_formats_that_are_asked_for(project: Project) -> None:
    spec = project.load("one")
    assert chosen(spec, "") == ["tar"] and chosen(spec, "raw-efi,tar,raw-efi") == ["raw-efi", "tar"]
    with pytest.raises(BadInput, match=r"^there is no format 'tra' \(there are aws, "):
        chosen(spec, "tra")
