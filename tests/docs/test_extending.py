"""docs/how-to/extending.md, followed literally: its files go into a copy of this repository, its commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT

PAGE = (ROOT / "docs/how-to/extending.md").read_text("utf-8")
FENCED = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FOLDERS = ("pipeline", "tests", "images", "specs", "docs")
SAYS = {
    "doit build:hello": ["hello\nhello, world", "hello.tar: OK"],
    "doit specs": ["hello: specs/hello.yml", "hello: tar, tar-sum"],
    "printf": ["LUKS → version: 1 | 2"],
    "python -m tests.manual": ["Success: no issues found", "0 broken"],
}
"""Start of a block of commands -> what it prints, besides."""


def blocks(sh: bool) -> Iterator[re.Match[str]]:
    return (each for each in FENCED.finditer(PAGE) if (each["language"] == "sh") is sh)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the files of the page."""
    root = tmp_path_factory.mktemp("extending") / "nodekiln"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "node.*"))
    for pattern in ("*.py", "*.md", "*.toml"):
        for path in ROOT.glob(pattern):
            shutil.copy2(path, root)
    if (ROOT / ".mypy_cache").exists():  # a copy has the same times, so that it counts there
        shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
    for block in blocks(sh=False):
        assert block["path"] and not (root / block["path"]).exists(), block[0]
        (root / block["path"]).parent.mkdir(exist_ok=True)
        (root / block["path"]).write_text(block["text"], encoding="utf-8")
    return root


@pytest.mark.parametrize("commands", [each["text"] for each in blocks(sh=True)], ids=lambda text: text.splitlines()[0])
def test_the_commands_of_the_page_work(copy: Path, commands: str) -> None:
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(copy)}
    environment = {**os.environ, **own, "NODEKILN_OFFLINE": "1"}
    done = subprocess.run(["bash", "-ec", commands], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (expected,) = [words for start, words in SAYS.items() if commands.startswith(start)]
    assert [word for word in expected if word not in done.stdout] == [], done.stdout + done.stderr
