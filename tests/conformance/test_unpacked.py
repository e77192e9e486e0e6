"""Unpacked images against the trees that LinuxKit made of the same images."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.model.tree import Device, Directory, File, Symlink, Tree
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.conformance import corpus

REPLACED = re.compile(
    r"\.dockerenv|Dockerfile|dev(/(console|pts|shm))?|etc(/(hostname|hosts|resolv\.conf|mtab))?|proc|sys"
)
"""What LinuxKit drops from an image, or puts in its place."""


@pytest.fixture(scope="module")
def store(session_store: Store) -> Store:
    return session_store


@corpus.each(corpus.cases("tree.jsonl"))
def test_a_container_of_a_case_is_its_image(
    case: Path, layout: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEKILN_MIRROR", f"*=oci:{layout}")
    spec = yaml.safe_load((case / "spec.yml").read_text())
    expected = {entry["path"]: entry for entry in map(json.loads, (case / "tree.jsonl").read_text().splitlines())}
    checked = 0
    for section in ("onboot", "onshutdown", "services"):
        for number, item in enumerate(spec.get(section) or ()):
            name = item["name"] if section == "services" else f"{number:03}-{item['name']}"
            for root in ("lower", "rootfs"):
                prefix = f"containers/{section}/{name}/{root}/"
                there = {
                    path.removeprefix(prefix): entry for path, entry in expected.items() if path.startswith(prefix)
                }
                if there and not item["image"].startswith("@"):
                    compare(unpacked(item["image"], store), there, store, prefix)
                    checked += 1
    assert checked or not any(spec.get(section) for section in ("onboot", "services"))


def unpacked(reference: str, store: Store) -> Tree:
    locked = resolve(reference, ["amd64"]).platforms["amd64"]
    return store.tree(unpack(store, pull(store, reference=reference, manifest=locked.manifest)))


def compare(tree: Tree, expected: dict[str, dict[str, object]], store: Store, prefix: str) -> None:
    ours = {path: described(path, entry, store, prefix) for path, entry in tree.items() if path}
    wanted = {path: {**entry, "path": path} for path, entry in expected.items()}
    for known in (ours, wanted):
        for path in [path for path in known if REPLACED.fullmatch(path)]:
            del known[path]
    assert {
        path: {k: v for k, v in entry.items() if k != "mode" or entry["type"] != "symlink"}
        for path, entry in wanted.items()
    } == ours


def described(path: str, entry: object, store: Store, prefix: str) -> dict[str, object]:
    assert isinstance(entry, Directory | File | Symlink | Device)
    facts: dict[str, object] = {"path": path, "uid": entry.uid, "gid": entry.gid, "mtime": entry.mtime}
    if not isinstance(entry, Symlink):
        facts["mode"] = f"{entry.mode:04o}"
    if entry.xattrs:
        facts["xattrs"] = {name: value.decode("utf-8", "surrogateescape") for name, value in entry.xattrs}
    if isinstance(entry, File) and entry.inode not in ("", path):
        return facts | {"type": "hardlink", "target": prefix + entry.inode}
    if isinstance(entry, File):
        data = b"".join(store.read(entry.content))
        return facts | {"type": "file", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(entry, Symlink):
        return facts | {"type": "symlink", "target": entry.target}
    if isinstance(entry, Device):
        kind = {"c": "char", "b": "block", "p": "fifo"}[entry.kind]
        return facts | {"type": kind} | ({"dev": [entry.major, entry.minor]} if entry.kind != "p" else {})
    return facts | {"type": "dir"}
