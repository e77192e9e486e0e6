"""The same results without incremental work: a part of the suite passes with the null objects."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline.incremental import SWITCH, open_store
from pipeline.store.interfaces import Memo, Seed

ROOT = Path(__file__).parents[2]
SUITE = (
    "tests/store",
    "tests/engine/test_action.py",
    "tests/writers/test_golden.py",
    "tests/attacks/test_store.py::test_a_flipped_byte_of_a_layer_is_not_built_in_and_the_build_says_so",
    "tests/attacks/test_store.py::test_a_fresh_checkout_gets_no_wrong_byte_out_of_a_shared_cache",
    "tests/attacks/test_store.py::test_results_that_something_was_done_to_are_made_again",
)
"""Damage, keys, golden bytes and whole builds."""


def test_a_store_has_null_objects_when_it_is_switched_off(tmp_path, monkeypatch):
    store = open_store(tmp_path / "cache")
    content = store.content(bytes(range(256)) * 8192)
    digest = store.export(content, tmp_path / "with")
    monkeypatch.setenv(SWITCH, "off")
    store = open_store(tmp_path / "cache")
    assert type(store.memo) is Memo and store.seed is Seed
    assert store.export(content, tmp_path / "without") == digest
    assert (tmp_path / "without").read_bytes() == (tmp_path / "with").read_bytes()


def test_the_suite_passes_without_a_memo_and_seeds():
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE]
    environment = {**os.environ, SWITCH: "off"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
