"""Results in build/NAME, their record, and their removal."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.engine.action import Action
from pipeline.model.tree import files
from pipeline.planning.plan import plan
from pipeline.project import publish
from pipeline.project.project import Project
from tests.project import EMPTY_LOCK, new_project

VERSION = 1
FOLDER = Path("build/node")


def made(store, *, name, text):
    return store.put_tree(files([(name, store.content(text.encode()))]))


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = new_project(tmp_path / "p", node="files: [{path: a, contents: b}]\nbuild: {formats: [tar], arch: amd64}\n")
    (root / "specs/node.lock").write_text(EMPTY_LOCK)
    monkeypatch.chdir(root)
    return Project(Path())


def published(project, name, file, text):
    planned = plan(project.load("node"), project.lock("node"), "amd64")
    return publish.publish(project, planned, name, Action(name, made, {"name": file, "text": text}), FOLDER)


def test_files_have_sums_and_a_record(project):
    assert published(project, "one", ".a", "text") == ["build/node/node.a"]
    digest = hashlib.sha256(b"text").hexdigest()
    assert (FOLDER / publish.SUMS).read_text() == f"{digest}  node.a\n"
    record = json.loads((FOLDER / publish.MANIFEST).read_text())
    assert record["formats"]["one"]["files"] == {"node.a": {"sha256": digest, "size": 4}}
    assert record["arch"] == "amd64" and "specs/node.yml" in record["spec"]


def test_equal_builds_have_equal_records(project):
    published(project, "one", ".a", "text")
    before = (FOLDER / publish.MANIFEST).read_bytes()
    published(project, "one", ".a", "text")
    assert (FOLDER / publish.MANIFEST).read_bytes() == before


def test_a_format_goes_with_its_files_and_the_last_one_with_all(project):
    published(project, "one", ".a", "1")
    published(project, "two", ".b", "2")
    assert publish.unpublish(FOLDER, "one") == [FOLDER / "node.a"]
    assert [*json.loads((FOLDER / publish.MANIFEST).read_text())["formats"]] == ["two"]
    assert "node.a" not in (FOLDER / publish.SUMS).read_text()
    publish.unpublish_all(FOLDER)
    assert not FOLDER.exists()


def test_a_record_that_was_changed_is_not_gone_on_with(project):
    published(project, "one", ".a", "1")
    (FOLDER / publish.MANIFEST).write_text('{"formats": {"evil": {}}}')
    published(project, "two", ".b", "2")
    assert [*json.loads((FOLDER / publish.MANIFEST).read_text())["formats"]] == ["two"]
