"""A project that is built in a second: a few files, no image. It has its own copy of the pipeline to tamper with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.spec.build import Build, filled_in

ROOT = Path(__file__).parents[2]
ARCH = filled_in(Build()).arch[0]
"""This machine's, as images are called for it."""
SPEC = """\
files:
  - path: etc/hostname
    contents: node
    mode: "0644"
  - path: etc/deep/motd
    contents: welcome
    mode: "0644"
build:
  formats: [kernel+initrd]
"""


@pytest.fixture
def project(tmp_path) -> Path:
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    (root / "specs/node.yml").write_text(SPEC)
    (root / "specs/node.lock").write_text('{"version": 1, "images": {}, "packages": {}}\n')
    shutil.copy(ROOT / "dodo.py", root)
    for name in ("pipeline", "images"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def doit(project):
    """Run doit in the project, with its own copy of the pipeline; the finished process is returned."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NODEKILN_")}
        command = [sys.executable, "-m", "doit", *words]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def tamper(project):
    """Append `code` to the project's copy of the stage module `name`; in it, `honest` is the stage as it was."""

    def append(name: str, code: str) -> None:
        with open(project / f"pipeline/stages/{name}.py", "a") as module:
            module.write(f"\n\nhonest = {name}\n\n\n{code}")

    return append
