"""doit push and doit image: what they bring into Debian's docker-registry, read back with skopeo."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.oci import push
from pipeline.recipe import recipe
from tests.judges import need, run
from tests.oci import servers
from tests.project import doit, new_project

SPEC = """\
files:
  - {path: etc/hostname, contents: node}
build:
  formats: [tar, kernel+initrd]
  arch: [amd64, arm64]
"""
RECIPE = """\
image: hello
arches: [amd64, arm64]
files:
  - {path: bin/hello, contents: "hello", mode: "0755"}
cmd: [/bin/hello]
"""
LOCK: dict[str, Any] = {"version": 1, "images": {}, "packages": {}}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with servers.docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of one file for two architectures, and a recipe without packages."""
    root = new_project(tmp_path / "project", node=SPEC)
    (root / "images/hello").mkdir(parents=True)
    (root / "images/hello/build.yml").write_text(RECIPE)
    found = recipe.load(root / "images/hello")
    locked = {arch: {"request": found.request(arch), "packages": []} for arch in found.build.arches}
    (root / "specs/node.lock").write_text(json.dumps(LOCK | {"packages": {"hello": locked}}))
    monkeypatch.chdir(root)
    return root


def inspected(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run(need("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").stdout
    )
    return found


def test_a_node(project: Path, host: str) -> None:
    doit("build:node")
    said = doit("push:node", "--to", f"{host}/nodes/node:v1")
    index = inspected(f"{host}/nodes/node:v1")
    assert index["artifactType"] == push.ARTIFACT and index["annotations"] == {push.TITLE: "node"}
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    for entry in index["manifests"]:
        folder = project / "build/node" / entry["platform"]["architecture"]
        manifest = inspected(f"{host}/nodes/node@{entry['digest']}")
        sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
        files, others = {}, {}
        for layer in manifest["layers"]:
            found = files if layer["mediaType"] == push.FILE else others
            found[layer["annotations"][push.TITLE]] = layer["digest"].removeprefix("sha256:")
        assert files == sums
        assert others == {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in (("manifest.json", folder / "manifest.json"), ("node.lock", project / "specs/node.lock"))
        }
    again = doit("push:node", "--to", f"{host}/nodes/node:v1")
    assert again.split()[-1] == said.split()[-1]


def test_some_formats_of_a_node_that_was_not_built(project: Path, host: str) -> None:
    doit("push:node", "--to", f"{host}/node", "--formats", "tar")
    assert not (project / "build/node").exists()
    manifest = inspected(f"{host}/node@{inspected(f'{host}/node')['manifests'][0]['digest']}")
    titles = [layer["annotations"][push.TITLE] for layer in manifest["layers"]]
    assert titles == ["manifest.json", "node.lock", "node.tar"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push:node"], "push:node --to REF"),
        (["push:node", "--to", "oci:x"], "only a registry"),
        (["push:node", "--to", "a.b/c@sha256:" + "0" * 64], "write a.b/c:TAG"),
        (["push:node", "--to", "a.b/c:1", "--formats", "tra"], "there is no format 'tra'"),
        (["image"], "doit image [--push REF | --copy] NAME"),
        (["image", "nothing"], "there is no recipe nothing"),
        (["image", "--arch", "s390x", "hello"], "is made for amd64, arm64, not for s390x"),
        (["image", "--push", "oci:x", "hello"], "only a registry"),
    ],
)
def test_what_cannot_be_pushed(project: Path, words: list[str], said: str) -> None:
    told = doit(*words, code=3)
    assert said in told and "Traceback" not in told
    assert not list(project.glob("cache/actions/**/*")), "found out before anything was made"


def test_several_nodes_have_no_one_reference(project: Path) -> None:
    shutil.copy("specs/node.yml", "specs/other.yml")
    assert "`doit push:NAME`, with NAME one of node, other" in doit("push", "--to", "a.b/c:1", code=3)


def test_what_is_over_its_budget_is_not_pushed(project: Path, host: str) -> None:
    (project / "specs/node.yml").write_text(SPEC + "  budget: {tar: 1K}\n")
    assert "tar has" in doit("push:node", "--to", f"{host}/node:1", code=3)
    doit("push:node", "--to", f"{host}/node:1", "--formats", "kernel+initrd")


def test_an_image_that_is_not_locked(project: Path) -> None:
    (project / "specs/node.lock").write_text(json.dumps(LOCK))
    assert "no lock in specs/ has the packages of hello for amd64, arm64" in doit("image", "hello", code=1)


def test_an_image_for_several_architectures(project: Path, host: str, tmp_path: Path) -> None:
    said = doit("image", "--push", f"{host}/team/hello:1", "hello")
    index = inspected(f"{host}/team/hello:1")
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": arch} for arch in ("amd64", "arm64")
    ]
    assert all(entry["digest"] in said for entry in index["manifests"])
    source = f"docker://{host}/team/hello:1"
    for arch in ("amd64", "arm64"):
        run(need("skopeo"), "copy", "--override-arch", arch, "--src-tls-verify=false", source, f"oci:{tmp_path}/{arch}")


def test_an_image_for_one(project: Path, host: str) -> None:
    doit("image", "--arch", "arm64", "--push", f"{host}/hello", "images/hello")
    said = run(need("skopeo"), "inspect", "--config", "--tls-verify=false", f"docker://{host}/hello").stdout
    assert json.loads(said)["architecture"] == "arm64" and json.loads(said)["config"]["Cmd"] == ["/bin/hello"]
