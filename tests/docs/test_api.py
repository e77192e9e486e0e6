"""The Python interface: docs/reference/api.md, followed literally."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import pipeline
from pipeline.model.errors import NodekilnError
from tests.project import ROOT

PAGE = ROOT / "docs/reference/api.md"
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture
def hello(tmp_path, monkeypatch):
    """The example's project, as the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/hello.yml").write_text(BLOCKS["yaml"])
    return tmp_path


def run_python(code):
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_example_prints_what_the_page_shows(hello):
    assert run_python(BLOCKS["python"]) == BLOCKS["text"]
    assert (hello / "out/hello.tar").read_bytes() == (hello / "again/hello.tar").read_bytes()
    assert (hello / "out/manifest.json").exists() and not (hello / "build").exists()


def test_the_public_names_are_those_of_the_page_and_of_the_types():
    names = {name for name in pipeline.__all__ if getattr(pipeline, name)}
    assert names - {"__version__"} == set(re.findall(r"^\| `(\w+)\(", PAGE.read_text(), re.MULTILINE))
    types = (ROOT / "pipeline/__init__.pyi").read_text()
    assert sorted(re.findall(r'"(\w+)"', types)) == sorted(names)
    with pytest.raises(AttributeError, match="no attribute 'unbuild'"):
        pipeline.__getattr__("unbuild")


def test_importing_the_package_loads_no_other_module_of_it():
    loaded = "import pipeline, sys; print([name for name in sys.modules if name.startswith('pipeline.')])"
    assert run_python(loaded) == "[]\n"


def test_results_are_those_of_doit(hello):
    from tests.project import doit

    (hello / "dodo.py").write_bytes((ROOT / "dodo.py").read_bytes())
    doit("build:hello", cwd=hello)
    before = {path.name: path.read_bytes() for path in (hello / "build/hello").iterdir()}
    pipeline.build("specs/hello.yml", output="elsewhere")
    assert {path.name: path.read_bytes() for path in (hello / "elsewhere").iterdir()} == before


def test_an_unlocked_name_is_an_error_that_says_how_to_lock_it(hello):
    (hello / "specs/hello.yml").write_text("init: ['example.org/none:1']\nbuild: {formats: [tar]}\n")
    lacking = r"specs/hello\.lock lacks example\.org/none:1 \(\w+\): run `doit lock:hello`"
    with pytest.raises(NodekilnError, match=lacking):
        pipeline.build("specs/hello.yml")


def test_an_error_of_a_stage_has_its_place_in_the_spec(hello):
    text = "files: [{path: etc/motd, contents: hello, uid: nobody-there}]\nbuild: {formats: [tar]}\n"
    (hello / "specs/hello.yml").write_text(text)
    with pytest.raises(NodekilnError, match=r"specs/hello\.yml:1:\d+: 'nobody-there' is"):
        pipeline.build("specs/hello.yml")
