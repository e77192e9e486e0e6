"""What a node's root has to have: out of the trees of its build, where they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from pipeline.inspect import root_files
from pipeline.inspect.node_report import ReportedEntry
from pipeline.model.tree import Device, Directory, File, Symlink, Tree
from pipeline.project.project import Project
from pipeline.store import Store
from tests.project import EMPTY_LOCK, doit, new_project

SPEC = "files: [{path: etc/motd, contents: hello, mode: '0600'}]\nbuild: {formats: [tar]}\n"


def test_entries_are_those_of_the_tree_without_boot(tmp_path):
    store = Store(tmp_path)
    content = store.content(b"hello")
    tree = Tree({
        "": Directory(0o755, 0, 0, 0), "a": File(0o4755, 1, 2, 0, (), content), "boot": Directory(0o755, 0, 0, 0),
        "boot/kernel": File(0o644, 0, 0, 0, (), content), "console": Device(0o600, 0, 5, 0),
        "link": Symlink(0o644, 0, 0, 0, (), "a"),
    })  # fmt: skip
    assert root_files.entries(store, tree) == {
        "a": ReportedEntry("f", 0o4755, 1, 2, hashlib.sha256(b"hello").hexdigest()),
        "boot": ReportedEntry("d", 0o755, 0, 0, ""), "console": ReportedEntry("c", 0o600, 0, 5, ""),
        "link": ReportedEntry("l", 0o777, 0, 0, "a"),
    }  # fmt: skip


def test_mounts_of_bundles_on_the_node_are_found(tmp_path):
    store, places = Store(tmp_path), ("/containers/services/a/rootfs", "/etc/cni")
    runtimes = [{"mounts": [{"destination": place} for place in places]}, {}, {"mounts": None}]
    tree = Tree({
        f"containers/services/{number}/runtime.json": File(0o644, 0, 0, 0, (), store.content(json.dumps(each).encode()))
        for number, each in enumerate(runtimes)
    })  # fmt: skip
    assert root_files.mount_points(store, tree) == ["/etc/cni"]


def test_the_tree_is_that_of_the_record_s_build(tmp_path, monkeypatch):
    root = new_project(tmp_path / "p", node=SPEC)
    (root / "specs/node.lock").write_text(EMPTY_LOCK)
    monkeypatch.chdir(root)
    doit("build:node", cwd=root)
    recorded = json.loads((root / "build/node/manifest.json").read_text())["formats"]["tar"]

    def tree(entry, name="tar"):
        project = Project(Path())
        return root_files.of_build(project.store, project.target("node").plan, entry, name)

    assert "etc/motd" in tree(recorded)
    (root / "specs/node.yml").write_text(SPEC.replace("etc/motd", "etc/issue"))
    assert "etc/motd" in tree(recorded), "the record's own tree is in the store"
    assert tree({"key": "x", "stages": {}}) is None and tree({"key": "x", "stages": {}}, "no-such-format") is None
    shutil.rmtree(root / "cache")
    assert tree(recorded) is None
    (root / "specs/node.yml").write_text(SPEC)
    assert "etc/motd" in tree(recorded), "the spec has not moved, so it is built again"
