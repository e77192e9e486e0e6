"""A project for all commands of the documents, and a registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.recipe import recipe
from tests.judges import need
from tests.oci import craft, servers
from tests.project import ROOT, doit, new_project

SPEC = """\
kernel: {image: "kernel:1", tar: none, cmdline: "console=ttyS0"}
init: ["init:1"]
services:
  - {name: sshd, image: "@pkg:images/sshd"}
files:
  - {path: etc/motd, contents: hello}
build: {arch: amd64, formats: [kernel+initrd, tar]}
"""
RECIPE = """\
image: sshd
arches: [amd64]
files:
  - {path: usr/sbin/sshd, contents: sshd, mode: "0755"}
cmd: [/usr/sbin/sshd]
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Path:
    """A project of one node whose images lie in a layout, built and pushed, with an earlier build beside it."""
    place = tmp_path_factory.mktemp("documents")
    root = new_project(place / "project", node=SPEC)
    for name in ("pipeline", "images"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "images/sshd/build.yml").write_text(RECIPE)
    loaded = recipe.load(root / "images/sshd")
    locked = {"amd64": {"request": loaded.request("amd64"), "packages": []}}
    (root / "specs/node.lock").write_text(json.dumps({"version": 1, "images": {}, "packages": {"sshd": locked}}))
    for name, paths in (("kernel", ["kernel"]), ("init", ["init", "sbin/init", "usr/bin/runc", "usr/bin/containerd"])):
        layer = craft.archive(*(craft.entry(path, data=name.encode(), mode=0o755) for path in paths))
        craft.image(place / "layout", [layer], name=f"docker.io/library/{name}:1", config={})
    with (root / "pyproject.toml").open("a") as file:
        file.write(f'[tool.nodekiln]\nmirror = ["docker.io=oci:{place}/layout"]\n')
    (root / ".gitignore").write_text("/build/\n/cache/\n__pycache__/\n/home/\n")
    (root / "home/.ssh").mkdir(parents=True)
    (root / "home/.ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAA me\n")
    doit("build:node", cwd=root)
    doit("push:node", "--to", f"{registry}/nodes/node:v1", cwd=root)
    shutil.copytree(root / "build/node", root / "build/old")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([need("git"), *identity, *words], cwd=root, check=True)
    return root
