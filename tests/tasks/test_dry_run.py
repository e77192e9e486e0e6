"""doit why, plan, graph, gc and fsck, as a person uses them; and the laws of keys for the stages of a real node."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial

import pytest

from pipeline.engine.action import closure
from pipeline.model.digest import Digest
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import plan
from pipeline.tasks import graph
from pipeline.tasks.dry_run import requested
from pipeline.tasks.graph import Node
from tests.engine.test_action import at, changed, paths
from tests.project import ROOT, declare, doit

SPEC = """\
files:
  - path: etc/motd
    contents: {motd}
  - path: etc/issue
    contents: hello
build:
  formats: [tar]
"""


def sha(text: str) -> str:
    """What stands for a file's contents where people see it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.fixture
def project(tmp_path):
    """A folder with one spec that needs no image, and what `doit` says there."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "n.lock").write_text('{"images": {}, "packages": {}, "version": 1}\n')
    declare(tmp_path)

    def write(motd: str, more: str = "") -> None:
        (tmp_path / "specs" / "n.yml").write_text(SPEC.format(motd=motd) + more)

    write("hello")
    write.doit, write.folder = partial(doit, cwd=tmp_path), tmp_path
    return write


def test_why_names_the_field_since_the_last_build_and_since_the_nearest_in_the_cache(project):
    assert "never built here" in project.doit("why:n") and "no record of this stage" in project.doit("why:n")
    project.doit("build:n")
    assert project.doit("why:n") == "0 run, 0 may run, 0 restored, 3 up to date\n"
    project("world")
    project.doit("build:n")
    project("word")
    said = project.doit("why:n")
    assert "build:n:files: runs\n    since the last build here: " in said
    assert f"here: entries[etc/motd].contents.sha256: '{sha('world')}' -> '{sha('word')}'\n" in said
    assert "build:n:rootfs: runs unless its inputs come out as before (input files changed)\n" in said
    assert said.endswith("1 run, 2 may run, 0 restored, 0 up to date\n")
    project("hello")
    said = project.doit("why:n", "--all")
    assert "build:n:files: restored\n" in said
    assert said.endswith("0 run, 0 may run, 3 restored, 0 up to date\n")


def test_the_nearest_in_the_cache_may_be_nearer_than_the_last_build(project):
    project.doit("build:n")
    project("a text\n  - path: etc/more\n    contents: more")
    project.doit("build:n")
    project("hello!")
    said = project.doit("why:n")

    def changed(before: str) -> str:
        return f"entries[etc/motd].contents.sha256: '{sha(before)}' -> '{sha('hello!')}'"

    assert f"nearest in the cache: {changed('hello')}\n" in said
    assert f"since the last build here: {changed('a text')}; entries[etc/more]:" in said


def test_plan_runs_nothing(project):
    said = project.doit("plan:n")
    assert "build:n:files: runs\n" in said and "to fetch: 0 B in 0 blobs\n" in said
    assert not (project.folder / "cache").exists() and not (project.folder / "build" / "n").exists()
    project.doit("build:n")
    size = (project.folder / "build" / "n" / "n.tar").stat().st_size
    said = project.doit("plan:n")
    assert said.startswith("0 run, 0 may run, 0 restored, 3 up to date\nto fetch: 0 B in 0 blobs\nto write: 0 B\n")
    project("hello, world")
    said = project.doit("plan:n")
    assert re.search(r"build:n:files: runs \(took \d+\.\d\d s\)", said)
    assert f"to write: about {size / 1024:.3g} KiB\n" in said and "time: about 0.0 s" in said


def test_what_the_lock_lacks_is_said(project):
    project("hello", "services: [{name: s, image: 'example.org/none:1'}]")
    for command in ("why:n", "plan:n", "graph:n", "gc"):
        assert "specs/n.lock lacks example.org/none:1" in project.doit(command, code=1)


def test_graph_draws_what_the_last_build_did(project):
    project.doit("build:n")
    assert project.doit("graph:n") == "build/n/graph.html\n"
    page = (project.folder / "build" / "n" / "graph.html").read_text()
    assert page.count("<rect") == 3 and "ran: 3" in page and "http" not in page
    project.doit("build:n")
    assert 's1["rootfs' in project.doit("graph:n", "--format=mermaid", "-o", "-")
    dot = project.doit("graph:n", "--format=dot", "-o", "-")
    assert graph.COLOURS["up to date"] in dot and "0 -> 1" in dot
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot, text=True, check=True, capture_output=True)
    assert "'pdf' is not a format of graphs: use html, dot, mermaid" in project.doit("graph:n", "--format=pdf", code=3)


def test_names_that_are_no_names_are_drawn_as_text():
    nodes = [Node('a"b\\c', "ran", 1.0, ()), Node("<script>", "", 0.0, (0,))]
    assert '0 [label="a\\"b\\\\c 1.00 s"' in graph.dot("t", nodes)
    assert '"a#quot;b' in graph.mermaid("t", nodes)
    page = graph.page("<t>", nodes)
    assert "&lt;script&gt;</text>" in page and "<t>" not in page


def test_gc_and_fsck(project):
    project.doit("build:n")
    project("world")
    project.doit("build:n")
    assert re.match(r"would free [\d.]+ K?i?B: \d+ blobs, \d+ results\nkept ", project.doit("gc", "--max-size=0", "-n"))
    assert re.match(r"freed [\d.]+ K?i?B: \d+ blobs, \d+ results\nkept ", project.doit("gc", "--max-size=0"))
    assert project.doit("gc", "--max-size=0").startswith("freed 0 B: 0 blobs, 0 results\n")
    assert "0 ran, 0 restored" in project.doit("build:n")
    assert "'many' is no size: write 500M or 10G" in project.doit("gc", "--max-size=many", code=3)
    assert re.fullmatch(r"\d+ blobs are what their names say\n", project.doit("fsck"))
    motd = project.folder / "cache" / "blobs" / "sha256" / Digest.of(b"world").hex
    motd.chmod(0o644)
    motd.write_bytes(b"worlD")
    said = project.doit("fsck", code=1)
    assert f"removed blob {Digest.of(b'world')}: is not what its name says\n" in said
    shutil.rmtree(project.folder / "build")
    project.doit("build:n")
    assert b"world" in (project.folder / "build" / "n" / "n.tar").read_bytes()
    assert re.fullmatch(r"\d+ blobs are what their names say\n", project.doit("fsck"))


# keys


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.yml")), ids=lambda path: path.stem)
def test_any_single_field_of_any_stage_of_a_spec_is_in_its_key(path, monkeypatch):
    """Every place in the parameters, every input and the code's version of every stage, one after the other."""
    monkeypatch.chdir(ROOT)
    made = plan(load(path.relative_to(ROOT)), Lock(), "amd64")
    mutants = 0
    for action in closure(*requested(made)):
        params = json.loads(json.dumps(action.params))
        keys = {action.key}
        for place in paths(params):
            now = at(params, place)
            to = {"another": params} if not place else not now if isinstance(now, bool) else [now, "another"]
            keys.add(type(action)(action.name, action.stage, changed(params, place, to), action.inputs).key)
            mutants += 1
        for number in range(len(action.inputs)):
            others = action.inputs[:number] + action.inputs[number + 1 :]
            keys.add(type(action)(action.name, action.stage, action.params, others).key)
            mutants += 1
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[action.stage.__module__], "VERSION", "another")
            keys.add(type(action)(action.name, action.stage, action.params, action.inputs).key)
        places = len(list(paths(params))) + len(action.inputs) + 2
        assert len(keys) == places, f"{action.name}: two of {places} mutants have one key"
    assert mutants


def test_who_reads_may_stop(project):
    """`doit why:n | head`: no traceback, and no failure."""
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "doit", "why:n"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, cwd=project.folder, stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
