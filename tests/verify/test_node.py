"""specs/node.yml itself, built twice under conditions that differ in everything at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.boot  # as long as a boot
@pytest.mark.network
def test_the_default_node_is_reproducible(tmp_path):
    table = tmp_path / "table.json"
    command = [str(Path(sys.executable).with_name("doit")), "verify:node", "--json", str(table)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert json.loads(table.read_text())
    assert "4 of 4 agree" in done.stdout
