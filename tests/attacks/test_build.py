"""Every hostile image through `doit build`, one node each, all in one run and beside a node that was built before."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from pipeline.oci.error import ImageError
from pipeline.oci.resolve import resolve
from tests.attacks.corpus import CORPUS
from tests.oci import craft
from tests.project import declare, run_doit

SPEC = """\
init: ["oci:{image}"]
services:
  - {{name: service, image: "oci:{image}", command: [/x], uid: {uid}, binds: ["/etc/hosts:/etc/hosts"]}}
build: {{formats: [tar]}}
"""


def node(project: Path, name: str, image: Path, digest: str, uid: str) -> None:
    """A spec whose image is `digest`, whatever a registry would say of it."""
    (project / "specs" / f"{name}.yml").write_text(SPEC.format(image=image, uid=uid))
    platform = {"manifest": digest, "config": {}, "layers": [], "facts": {}}
    images = {f"oci:{image}": {"index": None, "platforms": {"amd64": platform}}}
    (project / "specs" / f"{name}.lock").write_text(json.dumps({"version": 1, "images": images, "packages": {}}))


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The project after all has been built that can be, and what doit said about every node."""
    folder = tmp_path_factory.mktemp("attacks")
    project = folder / "project"
    (project / "specs").mkdir(parents=True)
    declare(project)
    (folder / "probe").write_text("untouched")
    node(project, "good", folder / "good", craft.image(folder / "good", [craft.archive(craft.entry("x"))]), "0")
    done = run_doit("build:good", cwd=project)
    assert done.returncode == 0, done.stderr
    for number, (_, attack) in enumerate(CORPUS.items()):
        image = folder / "images" / f"n{number}"
        uid = "somebody" if 31 in attack.rows else "0"
        node(project, f"n{number}", image, attack.build(image), uid)
    before, good = sums(folder / "images"), sums(project / "build" / "good")
    store = {path: path.stat().st_mtime_ns for path in (project / "cache" / "blobs").rglob("*") if path.is_file()}
    done = run_doit("--continue", "build", cwd=project)
    assert done.returncode == 3 and "Traceback" not in done.stderr + done.stdout, done.stderr[-3000:]
    assert sums(folder / "images") == before and sums(project / "build" / "good") == good
    assert all(path.stat().st_mtime_ns >= stamp for path, stamp in store.items()), "nothing that was there has gone"
    assert sorted(os.listdir(folder)) == ["good", "images", "probe", "project"]
    assert (folder / "probe").read_text() == "untouched" and sorted(os.listdir(project)) == [
        "build", "cache", "pyproject.toml", "specs",
    ]  # fmt: skip
    said: dict[str, str] = {}
    for line in done.stderr.splitlines():
        for name in set(re.findall(r"\b(?:images|specs)/(n\d+)\b", line)):
            said[name] = said.get(name, "") + line + "\n"
    return project, said


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=list(CORPUS))
def test_its_node_is_built_or_refused_with_a_line_that_says_why(
    number: int, built: tuple[Path, dict[str, str]]
) -> None:
    project, said = built
    attack, name = list(CORPUS.values())[number], f"n{number}"
    made = project / "build" / name / f"{name}.tar"
    wrong = attack.refused or ("'somebody' is neither a container" if 31 in attack.rows else "")
    if wrong:
        assert re.search(wrong, said[name]) and not made.exists()
        return
    with tarfile.open(made) as tar:
        for member in tar:
            assert not member.name.startswith("/") and ".." not in member.name.split("/")


@pytest.mark.parametrize("name", CORPUS)
def test_a_lock_of_it_is_written_or_refused(name: str, tmp_path: Path) -> None:
    """What is wrong with documents alone is found before anything is fetched."""
    digest = CORPUS[name].build(tmp_path)
    try:
        found = resolve(f"oci:{tmp_path}", ["amd64"]).platforms["amd64"]
    except ImageError as error:
        assert CORPUS[name].refused and re.search(CORPUS[name].refused, str(error))
    else:
        assert found.manifest == digest
