"""`doit compare:NODE --base REV`: the build of the working tree against that of a revision."""

import json
import subprocess

import pytest

from pipeline.commands import compare
from pipeline.inspect import side as sides
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from tests.judges import need


@pytest.fixture
def committed(project):
    """The project as a git repository with one commit."""
    (project / ".gitignore").write_text("/build/\n/cache/\n__pycache__/\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([need("git"), *identity, *words], cwd=project, check=True)
    return project


def test_a_working_tree_with_its_revision(doit, committed):
    spec = committed / "specs/node.yml"
    spec.write_text(spec.read_text().replace("welcome", "hello"))
    said = doit("compare:node", "--base", "HEAD").stdout
    assert said.startswith("node at HEAD | node\n")
    assert "etc/deep/motd → line 1: welcome | hello" in said
    assert "stages (" in said and "  files: sha256:" in said
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=committed, capture_output=True, text=True, check=True)
    assert len(worktrees.stdout.splitlines()) == 1


def test_nothing_changed(doit, committed):
    assert "node at HEAD and node are equal" in doit("compare:node").stdout


def test_forms(doit, committed):
    spec = committed / "specs/node.yml"
    spec.write_text(spec.read_text().replace("welcome", "hello"))
    doit("compare:node", "--form", "json", "--to", "difference.json")
    document = json.loads((committed / "difference.json").read_text())
    assert document["topics"]["sizes"] == [{"what": "etc", "left": "11", "right": "9"}]
    assert "<details><summary>files (1)</summary>" in doit("compare:node", "--form", "markdown").stdout
    assert doit("compare:node", "--form", "html").stdout.startswith("<!doctype html>")
    assert "--form pdf" in doit("compare:node", "--form", "pdf", code=3).stderr


def test_a_revision_that_is_not_there(doit, committed):
    told = doit("compare:node", "--base", "nowhere", code=1)
    assert "git worktree" in told.stderr and "build:node" not in told.stdout
    assert not (committed / "build/node").exists()


def test_without_git(doit, committed, monkeypatch):
    monkeypatch.setenv("PATH", "")
    told = doit("compare:node", code=1).stderr
    assert told == "--base checks a revision out with git, which is not installed\n"


def test_two_builds(doit, project, capsys, monkeypatch):
    doit("build:node")
    (project / "build/node").rename(project / "build/before")
    spec = project / "specs/node.yml"
    spec.write_text(spec.read_text().replace("welcome", "hello"))
    doit("build:node")
    said = doit("compare", "build/before", "build/node").stdout
    assert "etc/deep/motd → line 1: welcome | hello" in said
    for words in (["--form", "html", "build/before", "build/node"], ["build/before", "build/node", "--form", "html"]):
        assert doit("compare", *words).stdout.startswith("<!doctype html>")
    assert "option --from not recognized" in doit("compare", "build/before", "build/node", "--from", "x", code=3).stderr
    monkeypatch.chdir(project)
    compare.run.run(Project(project), ["build/node", "build/node/node-initrd.img"], form="json")
    topics = json.loads(capsys.readouterr().out)["topics"]
    assert topics["files"] == [] and topics["sizes"] == []
    with pytest.raises(BadInput, match="doit compare A B"):
        compare.run.run(Project(project), ["build/node"])


def test_keys_and_digests_of_the_store(doit, project):
    doit("build:node")
    there = Project(project)
    stages = json.loads((project / "build/node/manifest.json").read_text())["formats"]["kernel+initrd"]["stages"]
    by_key = sides.side(there.store, stages["files"]["key"])
    by_digest = sides.side(there.store, stages["files"]["result"])
    assert set(by_key.root) == set(by_digest.root) >= {"etc/hostname", "etc/deep/motd"}
    whole = sides.side(there.store, stages["format/kernel+initrd"]["key"])
    assert set(whole.root) >= {"etc/hostname", "etc/deep/motd"} and list(whole.files) == ["-initrd.img"]


def test_changed_files_have_their_owner_where_there_is_a_bill(doit, committed):
    """A layer's file, the spec's, and one that only the revision has."""
    index = committed / "specs/node.yml"
    text = index.read_text()
    index.write_text(text.replace("formats: [", "formats: [spdx, "))
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", *identity, "commit", "-qam", "bill"], cwd=committed, check=True)
    index.write_text(index.read_text().replace("welcome", "hello"))
    doit("compare:node", "--form", "json", "--to", "difference.json")
    files = json.loads((committed / "difference.json").read_text())["topics"]["files"]
    assert [each["what"] for each in files] == ["etc/deep/motd (size) [files of node]"]
