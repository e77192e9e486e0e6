"""doit harden: options, output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.commands import harden
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from tests.inspect import nodes
from tests.project import doit

SPEC = """\
kernel: {image: "oci:layout:kernel", cmdline: "pti=on"}
init: ["oci:layout:init"]
onboot:
  - {name: sysctl, image: "oci:layout:sysctl"}
services:
  - name: s
    image: oci:layout:service
build: {arch: amd64}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = nodes.project(tmp_path_factory.mktemp("harden") / "project")
    (made.root / "specs/node.yml").write_text(SPEC)
    return made


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.root)
    return project


def test_the_command_prints_the_posture_and_what_weakens_it(project: Project) -> None:
    text = doit("harden:node", "--baseline", "cis,kspp", cwd=project.root)
    assert "services/s" in text and "80/tcp" in text and "NET_ADMIN!" in text
    assert "specs/node.yml:7:12 services/s: pid: host (the label of oci:layout:service)" in text
    assert "weak: kspp:slab_nomerge: " in text and 'kernel: {cmdline: "… slab_nomerge"}' in text
    assert "talos:" not in text


def test_strict_is_for_ci(project: Project) -> None:
    text = doit("harden:node", "--strict", "--baseline=kspp", code=1, cwd=project.root)
    last = text.splitlines()[-1]
    assert last.startswith("node: ") and last.endswith("weak points; --accept=BASELINE:RULE names those that are meant")
    weak = [line.split(": ")[1] for line in text.splitlines() if line.startswith("weak: ")]
    assert weak
    doit("harden:node", "--strict", "--baseline=kspp", f"--accept={','.join(weak)}", cwd=project.root)


def test_a_baseline_of_one_s_own_is_a_file(inside: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "ours.yml"
    rule = "{id: pids, fact: container.pids-limit, at-least: 1, reason: no floods}"
    own.write_text(f'title: ours\nsources: ["https://example.org"]\nrules:\n  - {rule}\n')
    harden.run.run(inside, ["node"], baseline=f"{own},kspp", accept="ours:pids@onboot/000-sysctl")
    text = capsys.readouterr().out
    assert "weak: kspp:" in text and "weak: ours:" not in text
    own.write_text(own.read_text().replace("pids-limit", "pid-limit"))
    with pytest.raises(BadInput, match=r"ours.yml:4:\d+: pids: there is no fact 'container.pid-limit' .did you mean"):
        harden.run.run(inside, ["node"], baseline=str(own))
    with pytest.raises(BadInput, match=r"none\.yml: cannot be read: No such file"):
        harden.run.run(inside, ["node"], baseline="none.yml")


def test_wrong_words(project: Project, inside: Project) -> None:
    with pytest.raises(BadInput, match="no baseline 'ciss'"):
        harden.run.run(inside, ["node"], baseline="ciss")
    assert "there is no finding 'cis:x'" in doit("harden:node", "--accept=cis:x", code=3, cwd=project.root)


def test_a_file_or_standard_output_as_json(inside: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harden.run.run(inside, ["node"], baseline="kspp", json=str(tmp_path / "node.json"))
    assert "weak: kspp:" in capsys.readouterr().out
    harden.run.run(inside, ["node"], baseline="kspp", json="-")
    text = capsys.readouterr().out
    assert text == (tmp_path / "node.json").read_text()
    (document,) = json.loads(text)
    assert document["node"] == "node" and document["cmdline"] == "pti=on"


def test_an_image_that_the_lock_lacks_is_named(inside: Project) -> None:
    spec = inside.root / "specs/other.yml"
    spec.write_text(SPEC)
    text = doit("harden:other", code=1, cwd=inside.root)
    spec.unlink()
    assert "specs/other.lock lacks" in text and "lock:other" in text
