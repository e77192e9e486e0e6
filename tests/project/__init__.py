"""Projects in folders of their own, and doit run in them as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""This repository."""
EMPTY_LOCK = '{"images": {}, "packages": {}, "version": 1}\n'
"""Lock of a spec that names neither images nor recipes."""


def declare(root: Path, loader: str = "nodekiln") -> None:
    """Makes the folder `root` a project whose tasks doit gets from nodekiln, or from the class Loader of a module."""
    own = f'[tool.doit.plugins.loader]\n{loader} = "{loader}:Loader"\n' if loader != "nodekiln" else ""
    (root / "pyproject.toml").write_text(f'[tool.doit]\nloader = "{loader}"\n{own}')


def new_project(root: Path, **specs: str) -> Path:
    """Makes a project in the folder `root`, with a spec for each NAME=TEXT, and returns the folder."""
    (root / "specs").mkdir(parents=True)
    declare(root)
    for name, text in specs.items():
        (root / "specs" / f"{name}.yml").write_text(text)
    return root


def run_doit(
    *words: str, cwd: Path | None = None, clean: bool = False, umask: int = -1, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs doit in `cwd`, or in the working folder, with this repository's pipeline.

    `environment` is added to the process's own, of which `clean` removes all variables of nodekiln.
    """
    inherited = {name: value for name, value in os.environ.items() if not (clean and name.startswith("NODEKILN_"))}
    variables = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "doit", *words]
    return subprocess.run(
        command, cwd=cwd, env=variables, umask=umask, capture_output=True, text=True, errors="surrogateescape"
    )


def doit(*words: str, code: int = 0, cwd: Path | None = None, **environment: str) -> str:
    """Runs doit, which must end with `code`, and returns standard output and error."""
    ended = run_doit(*words, cwd=cwd, **environment)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr
