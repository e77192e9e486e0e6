"""Every example builds, from a lock of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.yml"))


@pytest.mark.network
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_builds(example, tmp_path):
    (tmp_path / "specs").mkdir()
    shutil.copy(example, tmp_path / "specs")
    shutil.copy(ROOT / "dodo.py", tmp_path)
    (tmp_path / "images").symlink_to(ROOT / "images")
    environment = {**os.environ, "NODEKILN_CACHE": str(ROOT / "cache"), "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).with_name("doit")), f"build:{example.stem}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / example.stem / f"{example.stem}-initrd.img").stat().st_size > 1 << 20
    assert (tmp_path / "specs" / f"{example.stem}.lock").exists()


def test_there_are_examples():
    assert EXAMPLES
