"""The state of result files, by which later changes to them are noticed."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.host.stamp import settle_mtime, stamp
from pipeline.project import results_state
from pipeline.project.results_state import MANIFEST, PROVENANCE, SUMS

FOLDER = Path("build/node")


def written(**texts):
    """Files that are written, as their states."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    states = {}
    for name, text in texts.items():
        path = FOLDER / name.replace("_", ".")
        path.write_text(text)
        settle_mtime(path)
        states[path.name] = (hashlib.sha256(text.encode()).hexdigest(), stamp(os.stat(path)))
    return states


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = written(**{MANIFEST: "{}", SUMS: "", PROVENANCE: "{}"})
    results_state.read(FOLDER).with_format("tar", "key", written(node_tar="data"), shared).write()


def staleness():
    return results_state.read(FOLDER).staleness("tar", "key")


def test_files_are_up_to_date_until_they_are_touched(state):
    assert staleness() == ""
    (FOLDER / "node.tar").write_text("data")
    assert staleness() == "node.tar was changed since it was written"
    (FOLDER / "node.tar").unlink()
    assert staleness() == "node.tar is gone"


def test_shared_files_count_too(state):
    (FOLDER / MANIFEST).write_text("other")
    assert MANIFEST in staleness() and results_state.read(FOLDER).unchanged(MANIFEST) == b""


def test_another_key_or_format_is_not_what_was_written(state):
    read = results_state.read(FOLDER)
    assert read.staleness("tar", "other") == "its files are those of another build"
    assert read.staleness("iso", "key") == "never built here"


def test_a_file_of_another_format_is_written_over(state):
    read = results_state.read(FOLDER)
    read.with_format("other", "key", written(node_tar="new"), {}).write()
    assert staleness() == "node.tar was written over by another format"


def test_a_state_that_cannot_be_read_is_empty(state):
    (path,) = Path("build/.written").iterdir()
    path.write_text(path.read_text().replace("tar", "iso"))
    assert results_state.read(FOLDER).formats == {} == results_state.read(Path("build/none")).formats
    results_state.read(FOLDER).remove()
    assert not path.exists()
