"""A fleet: a project of many specs that have images in common, out of an OCI layout on the disk."""

from __future__ import annotations

import re
from pathlib import Path

from tests.oci import craft
from tests.project import doit, new_project, run_doit

ROLES = ("cache", "edge", "web")
"""Images of services; each spec has one of them."""
SPEC = """\
init: ["base:1"]
services: [{{name: log, image: "log:1"}}, {{name: {role}, image: "{role}:1"}}]
files: [{{path: etc/hostname, contents: {name}}}]
build: {{arch: amd64, formats: [kernel+initrd, tar]}}
"""


def make(place: Path, size: int) -> Path:
    """Makes a project with `size` locked specs, whose roles alternate by name, in a folder of `place`; returns it."""
    for name in ("base", "log", *ROLES):
        programs = [f"bin-{name}"] + ["init", "usr/bin/containerd"] * (name == "base")
        layer = craft.archive(*(craft.entry(path, data=name.encode(), mode=0o755) for path in programs))
        config = {"config": {"Cmd": [f"/bin-{name}"]}}
        craft.image(place / "layout", [layer], name=f"docker.io/library/{name}:1", config=config)
    specs = {f"n{number:02}": ROLES[number % len(ROLES)] for number in range(size)}
    root = new_project(place / "project", **{name: SPEC.format(role=role, name=name) for name, role in specs.items()})
    with (root / "pyproject.toml").open("a") as file:
        file.write(f'[tool.nodekiln]\nmirror = ["docker.io=oci:{place}/layout"]\n')
    doit("lock", cwd=root, NODEKILN_CACHE=str(place / "lock"))
    return root


def stage_runs(root: Path, cache: Path, *words: str, **environment: str) -> int:
    """Runs doit in the project `root` with the store `cache`, and returns the number of stages that ran."""
    variables = {"NODEKILN_CACHE": str(cache), "NODEKILN_LOG": "info", "NODEKILN_LOCKED": "1", **environment}
    ended = run_doit(*words, cwd=root, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return len(re.findall(r"^nodekiln INFO \d+ ms: ran ", ended.stdout + ended.stderr, re.MULTILINE))


def sums(root: Path) -> dict[str, str]:
    """Returns SHA256SUMS of each spec that has been built in the project `root`."""
    return {path.parent.name: path.read_text() for path in sorted((root / "build").glob("*/SHA256SUMS"))}
