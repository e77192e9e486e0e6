"""What a build says: lines in a log, a live view on a terminal, JSON for machines; and what rich costs: nothing."""

import json
import os
import pty
import re
import subprocess
import sys
from functools import partial

import pytest

from pipeline.model import size
from pipeline.model.errors import BadInput
from pipeline.tasks import last_run, staleness
from tests.project import run_doit

DODO = '''
import sys
from pipeline.store import progress_counter
from pipeline.tasks.reporter import Explained

DOIT_CONFIG = {"backend": "nodekiln", "dep_file": "build/.doit.db", "reporter": "nodekiln", "verbosity": 2,
               "par_type": "thread", "num_process": 2}


class Same:
    """As `pipeline.tasks` has it: knows an action, and says what differs."""

    def __init__(self, name):
        self.action, self.summary = name, "options.env changed"

    def __call__(self, task, values):
        return values.get("key") == "KEY"


def perform(name):
    progress_counter.advance(5 << 20)
    if name == "broken":
        return Explained("node.yml:3:7: there is no such thing", True)
    return {"key": "KEY", "ran": name != "restored"}


def task_stage():
    for name in NAMES:
        yield {"name": name, "actions": [(perform, [name])], "uptodate": [Same(name)], "io": {"capture": False}}


def task_talk():
    return {"actions": [lambda: print("a command talks")], "uptodate": [False], "io": {"capture": False}}
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a dodo.py that is rewritten within a second looks unchanged

    def write(*names: str, key: str = "1") -> None:
        (tmp_path / "dodo.py").write_text(f"NAMES = {names!r}\n" + DODO.replace("KEY", key))

    def look(*words: str, term: str = "xterm-256color") -> str:
        """What a person at a terminal sees."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": term, "COLUMNS": "100", "LINES": "40"}
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "doit", *words],
            cwd=tmp_path,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        seen = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the terminal has been hung up
                break
            seen += data
        imports = process.communicate()[1].decode()
        os.close(ours)
        return seen.decode() + imports

    write.doit, write.look, write.folder = partial(run_doit, cwd=tmp_path), look, tmp_path
    return write


def test_a_log_has_one_line_a_stage_that_ran_and_a_summary(project):
    project("sshd", "rngd", "restored")
    said = project.doit("stage").stdout
    *lines, last = said.splitlines()
    for name, line in zip(("rngd", "sshd"), sorted(lines), strict=True):
        assert re.fullmatch(rf"stage:{name}: ran in \d\.\d\d s \(options.env changed\)", line)
    assert re.fullmatch(r"2 ran, 1 restored, 0 up to date in \d+\.\d\d s", last)
    assert re.fullmatch(r"0 ran, 0 restored, 3 up to date in \d+\.\d\d s\n", project.doit("stage").stdout)
    assert project.doit("talk").stdout == "a command talks\n"


def test_an_error_is_its_own_text_and_wrong_input_has_an_exit_code_of_its_own(project):
    project("sshd", "broken")
    ended = project.doit("stage")
    assert ended.returncode == 3
    assert ended.stderr == "node.yml:3:7: there is no such thing\n"
    assert "1 ran, 0 restored, 0 up to date, 1 failed in" in ended.stdout


def test_json_is_for_machines(project):
    project("sshd", "restored")
    ended = project.doit("-r", "json", "stage")
    results = {task["name"]: task["result"] for task in json.loads(ended.stdout)["tasks"]}
    assert results["stage:sshd"] == results["stage:restored"] == "success"


BEATING = """
import threading
from pipeline.tasks import heartbeat, reporter
heartbeat.FIRST_SECONDS, beaten, beat = 0.01, threading.Event(), reporter.LineReporter.beat

def beat_on(self):
    beat(self)
    beaten.set()

reporter.LineReporter.beat, perform = beat_on, lambda name: beaten.wait(60) and {"key": "1", "ran": True}
"""


def test_a_log_shows_what_takes_long(project):
    """A stage that ends only after the line was printed."""
    project("sshd")
    with (project.folder / "dodo.py").open("a") as dodo:
        dodo.write(BEATING)
    first, *_, last, summary = project.doit("stage").stdout.splitlines()
    assert re.fullmatch(r"running: stage:sshd \(0 s\)", first) and last.startswith("stage:sshd: ran in ")
    assert summary.startswith("1 ran")


def test_a_terminal_shows_what_is_happening(project):
    project("sshd", "restored")
    seen = project.look("stage")
    assert "of 2 stages" in seen and "\x1b[" in seen
    assert "stage:sshd: ran in 0." in seen and "1 ran, 1 restored, 0 up to date in" in seen
    assert "rich.live" in seen


def test_rich_is_imported_only_when_there_is_something_to_watch(project):
    project("sshd")
    assert project.doit("stage").returncode == 0
    for seen in (project.look("stage"), project.look("talk"), project.look("list")):
        assert "pipeline.tasks.reporter" in seen and "rich" not in seen
    project("sshd", key="2")
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "doit", "stage"], cwd=project.folder, capture_output=True, text=True
    )
    assert "1 ran" in ended.stdout and "rich" not in ended.stderr


def test_a_dumb_terminal_gets_lines(project):
    project("sshd")
    seen = project.look("stage", term="dumb")
    assert "1 ran" in seen and "rich" not in seen and "\x1b" not in seen


def test_the_journal_says_what_the_last_build_did(project):
    project("sshd", "restored")
    project.doit("stage")
    outcomes = {name: event.outcome for name, event in last_run.read(project.folder / "build").items()}
    assert outcomes == {"stage:sshd": "ran", "stage:restored": "restored"}
    project.doit("stage:sshd")
    outcomes = {name: event.outcome for name, event in last_run.read(project.folder / "build").items()}
    assert outcomes == {"stage:sshd": "up to date", "stage:restored": "restored"}
    (project.folder / "build" / last_run.NAME).write_text("{]")
    assert last_run.read(project.folder / "build") == {}


# reasons


def test_a_reason_names_the_field():
    before = {
        "key": "1",
        "version": 1,
        "inputs": {"pull": "a", "root": "b"},
        "params": {"env": ["A=1"], "files": [{"path": "etc/motd", "text": "x" * 100 + "old"}], "packages": []},
    }

    def reasons(**now) -> tuple[str, str]:
        after = {**before, "key": "2", **now}
        return staleness.difference(before, after), staleness.summary(before, after)

    def params(**changed) -> dict:
        return {"params": {**before["params"], **changed}}

    assert staleness.difference(before, before) == "up to date"
    assert reasons(**params(env=["A=2"])) == (
        "env.A: 'sha256:6b86b273ff34' -> 'sha256:d4735e3a265e'",
        "env.A changed",
    )
    assert reasons(**params(env=[])) == ("env.A: 'sha256:6b86b273ff34' -> (none)", "env.A changed")
    assert reasons(**params(more=True)) == ("more: (none) -> True", "more changed")
    assert reasons(**params(files=[{"path": "etc/motd", "text": "x" * 100 + "new"}])) == (
        "files[etc/motd].text: '…xxxxxxxxxxxxxxxold' -> '…xxxxxxxxxxxxxxxnew'",
        "files[etc/motd].text changed",
    )
    assert reasons(**params(packages=[{"name": "b", "size": 1}]))[1] == "packages[b] changed"
    assert reasons(inputs={"pull": "c", "root": "b"})[0] == "input pull changed"
    assert reasons(inputs={"pull": "a"})[0] == "input root changed"
    assert reasons(version=2)[0] == "the stage's own version changed"


SIZES = [("0", 0), ("500M", 500 << 20), ("1.5 GiB", 3 << 29), ("10kb", 10 << 10), ("7", 7), ("2T", 2 << 40)]


@pytest.mark.parametrize(("text", "bytes_"), SIZES)
def test_sizes(text, bytes_):
    assert size.parse(text) == bytes_
    assert size.parse(size.shown(bytes_)) == bytes_


@pytest.mark.parametrize("text", ["", "M", "-1", "1e3", "10 apples", "１"])
def test_what_is_no_size(text):
    with pytest.raises(BadInput, match="is no size"):
        size.parse(text)
