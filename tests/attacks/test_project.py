"""A repository that brings symlinks where nodekiln writes, and specs and recipes that name what is not theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.host import tracked
from pipeline.store import Store, StoreError
from tests.attacks.conftest import SPEC, Project

FOLDERS = (
    "build", "build/x", "build/.plans", "build/.written", "cache", "cache/blobs", "cache/blobs/sha256",
    "cache/actions", "cache/sums", "cache/locks", "cache/tmp", "cache/spares", "cache/oci-layout",
    "cache/actions/ab", "cache/sums/00",
)  # fmt: skip
"""Folders in which a build makes files."""


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_a_symlink_is_named_and_not_followed(name: str, project: Project) -> None:
    elsewhere = project.probe.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    link = project.root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere)
    for command in ("build:x", "gc", "fsck"):
        if command == "build:x" or name.startswith("cache"):
            said = project.refuses(command)
            assert f"{name} is a symlink, which is not followed" in said
    assert os.listdir(elsewhere) == ["mine"]


FILES = {
    "build/x/.x.tar.partial": "build:x",
    "build/x/.manifest.json": "build:x",
    "build/x/manifest.json": "build:x",
    "build/x/SHA256SUMS": "build:x",
    "build/x/x.tar": "build:x",
    "build/.last.json": "build:x",
    "build/.plans/x.json": "build:x",
    "build/.sums.json": "build:x",
    "build/x/graph.html": "graph:x",
    "build/x/size.html": "size:x",
    "specs/.x.lock.1": "lock:x",
}
"""Files that a command makes, and the command."""


@pytest.mark.parametrize("name", FILES)
def test_a_symlink_in_place_of_a_file_is_replaced_and_not_followed(name: str, project: Project) -> None:
    (project.root / "large").write_bytes(bytes(5 << 20))  # its sum is remembered
    project.spec(SPEC.replace("]", ", {path: large, source: large}]", 1))
    project.builds("build:x")
    link = project.root / name
    link.unlink(missing_ok=True)
    link.symlink_to(project.probe)
    if FILES[name] == "build:x":
        project.spec(SPEC.replace("hello", "world"))
    project.builds(FILES[name])


@pytest.mark.parametrize("name", ["build/.doit.db", "build/.doit.db-wal"])
def test_doits_database_is_not_written_elsewhere(name: str, project: Project) -> None:
    (project.root / "build").mkdir()
    (project.root / name).symlink_to(project.probe)
    assert f"{name} is a symlink, which is not followed" in project.refuses("build:x")


def test_a_second_name_of_somebodys_file_is_not_written_to(tmp_path: Path) -> None:
    from pipeline.host import atomic

    victim = tmp_path / "victim"
    victim.write_text("untouched")
    os.link(victim, tmp_path / "partial-sha256-1")
    os.mkfifo(tmp_path / "fifo")
    for name, problem in (("partial-sha256-1", "has several hard links"), ("fifo", "is not a regular file")):
        with pytest.raises(atomic.ForeignFile, match=problem):
            atomic.open_append(tmp_path / name)
    assert victim.read_text() == "untouched"


def test_a_lock_is_no_way_to_make_a_file_elsewhere(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put(b"x")
    (tmp_path / "store/locks/one").symlink_to(tmp_path / "made")
    with pytest.raises(StoreError, match="locks/one is a symlink, which is not followed"), store.lock("one"):
        pass
    assert not (tmp_path / "made").exists()


def test_own_symlinks_at_the_top_go_on_working(project: Project, tmp_path: Path) -> None:
    """The specs' folder, and the recipes', and a cache that the environment names."""
    (project.root / "specs").rename(tmp_path / "specs")
    (project.root / "specs").symlink_to(tmp_path / "specs")
    (tmp_path / "specs/key").write_text("key")
    (tmp_path / "specs/x.yml").write_text(SPEC.replace("contents: hello", "source: key"))
    (tmp_path / "store").mkdir()
    (project.root / "big").symlink_to(tmp_path / "store")
    project.builds("build:x", NODEKILN_CACHE="big")
    assert (tmp_path / "store/blobs").is_dir()


# what a plan remembers


def test_a_remembered_plan_calls_nothing_but_observations(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for name in (
        "os:remove",
        "pathlib:Path.unlink",
        "pipeline.planning.lock:os.remove",
        "builtins:open",
        "pipeline.none:x",
        "",
    ):
        assert not tracked.unchanged([(name, [str(victim)], "None")])
    assert victim.exists()
    assert tracked.unchanged([("pipeline.engine.host_digests:sha256", [str(tmp_path / "none")], "FileNotFoundError")])


# paths that specs and recipes name


def outside(project: Project, kind: str) -> str:
    """A path to `probe` as a spec in specs/ may write it."""
    if kind == "symlink":
        (project.root / "inner").symlink_to(project.probe)
        return "inner"
    if kind == "folder":
        (project.root / "specs/inner").symlink_to(project.probe.parent)
        return "inner/probe"
    return {"absolute": str(project.probe), "above": "../../probe", "home": "~/probe"}[kind]


@pytest.mark.parametrize("kind", ["absolute", "above", "home", "symlink", "folder"])
@pytest.mark.parametrize("more", ["", ", optional: true"])
def test_a_source_stays_inside(kind: str, more: str, project: Project) -> None:
    source = outside(project, kind)
    project.spec(f"files:\n- {{path: a, source: {source}{more}}}\nbuild: {{formats: [tar]}}\n")
    home = str(project.probe.parent)
    right = "lies outside the project (NODEKILN_OUTSIDE=1 in the environment allows it)"
    for command in ("check:x", "build:x"):
        assert f"specs/x.yml:2:21: {source!r} {right}" in project.refuses(command, HOME=home)
    project.builds("build:x", HOME=home, NODEKILN_OUTSIDE="1")
    assert right in project.refuses("build:x", HOME=home), "it is asked anew each time"


def test_a_public_key_may_come_from_the_home(project: Project) -> None:
    folder = project.probe.parent / ".ssh"
    folder.mkdir()
    (folder / "id_rsa.pub").write_text("ssh-rsa AAAA me\n")
    (folder / "id_rsa").write_text("secret\n")
    for name, is_refused in (("id_rsa.pub", False), ("id_rsa", True), ("../.ssh/id_rsa.pub", True)):
        source = f"~/.ssh/{name}"
        project.spec(f"files:\n- {{path: a, source: {source}}}\nbuild: {{formats: [tar]}}\n")
        home = str(project.probe.parent)
        if is_refused:
            assert "lies outside the project" in project.refuses("build:x", HOME=home)
        else:
            project.builds("build:x", HOME=home)


@pytest.mark.parametrize("kind", ["absolute", "above", "symlink"])
def test_the_files_of_a_spec_stay_inside(kind: str, project: Project) -> None:
    named = outside(project, kind).replace("inner", "../inner")
    project.spec(f"files: [{{path: a, contents: b}}]\nbuild: {{append: [{named}]}}\n")
    assert f"specs/x.yml:2:18: {named!r} lies outside the project" in project.refuses("check:x")
    (project.root / "specs/x.yml").unlink()
    (project.root / "specs/x.yml").symlink_to(project.probe)
    assert "specs/x.yml:1:1: leads outside the project" in project.refuses("check:x")


def recipe(folder: Path, source: str = "here") -> None:
    folder.mkdir(parents=True)
    (folder / "here").write_text("here")
    (folder / "build.yml").write_text(f"image: {folder.name}\nfiles:\n- {{path: a, source: {source}}}\n")


@pytest.mark.parametrize("source", ["/etc/hostname", "../../../probe", "inner"])
def test_own_files_of_a_recipe_stay_inside(source: str, project: Project) -> None:
    recipe(project.root / "images/r", source)
    (project.root / "images/r/inner").symlink_to(project.probe)
    project.spec('init: ["@pkg:images/r"]\nbuild: {formats: [tar], arch: amd64}\n')
    said = project.refuses("build:x")
    assert "images/r/build.yml:3:21" in said and "it lies outside the project (NODEKILN_OUTSIDE=1" in said


def test_a_recipe_itself_stays_inside(project: Project) -> None:
    recipe(project.root.parent / "far")
    recipe(project.root.parent / "images/r")
    project.spec('init: ["@pkg:../far"]\nbuild: {formats: [tar], arch: amd64}\n')
    assert "@pkg:../far lies outside the project (NODEKILN_OUTSIDE=1" in project.refuses("build:x")
    (project.root / "near").symlink_to(project.root.parent / "far")
    project.spec('init: ["@pkg:near"]\nbuild: {formats: [tar], arch: amd64}\n')
    assert "outside the project" in project.refuses("build:x")
    (project.root / "images").symlink_to(project.root.parent / "images")
    project.spec('init: ["@pkg:images/r"]\nbuild: {formats: [tar], arch: amd64}\n')
    project.builds("build:x")
