"""A project as a stranger would hand it over, and what doit does there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import declare, run_doit

SPEC = "files: [{path: etc/motd, contents: hello}]\nbuild: {formats: [tar]}\n"


class Project:
    """A folder with dodo.py and the spec `x`, and beside it a file `probe` that must stay as it is."""

    def __init__(self, place: Path) -> None:
        self.root, self.probe = place / "project", place / "probe"
        (self.root / "specs").mkdir(parents=True)
        declare(self.root)
        self.probe.write_text("untouched")
        self.spec(SPEC)

    def spec(self, text: str, lock: str = '{"images": {}, "packages": {}, "version": 1}') -> None:
        (self.root / "specs/x.yml").write_text(text)
        (self.root / "specs/x.lock").write_text(lock)

    def doit(self, *words: str, umask: int = -1, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs doit with no variable of nodekiln but those of `environment`."""
        return run_doit(*words, cwd=self.root, clean=True, umask=umask, **environment)

    def refuses(self, *words: str, **environment: str) -> str:
        """What doit says, which fails for `words` with one line."""
        ended = self.doit(*words, **environment)
        assert ended.returncode, ended.stdout
        assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr, ended.stderr
        return ended.stderr

    def builds(self, *words: str, **environment: str) -> str:
        ended = self.doit(*words, **environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    assert made.probe.read_text() == "untouched"
