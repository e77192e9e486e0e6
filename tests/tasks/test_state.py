"""doit's state survives a kill at once after each task, and two doits in one folder do not lock or undo each other."""

from functools import partial

import pytest
from doit.dependency import JSONCodec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks import state
from tests.project import run_doit

DODO = '''
import os, signal, subprocess, sys

DOIT_CONFIG = {"backend": "nodekiln", "dep_file": "build/.doit.db", "reporter": "console"}


def same(task, values):
    return values.get("key") == 1


def task(*actions, needs=()):
    return {"actions": [*actions, lambda: {"key": 1}], "uptodate": [same], "task_dep": list(needs)}


def task_first():
    return task()


def task_killed():
    return task(lambda: os.kill(os.getpid(), signal.SIGKILL), needs=["first"])


def task_failing():
    return task(lambda: False)


def task_outer():
    """Another doit runs while this one has the state open, after one of its tasks has failed."""
    return task(lambda: subprocess.run([sys.executable, "-m", "doit", "inner"], check=True) and None)


def task_inner():
    return task()
'''


@pytest.fixture
def doit(tmp_path):
    (tmp_path / "dodo.py").write_text(DODO)

    run = partial(run_doit, cwd=tmp_path)
    run.saved = lambda: {task for task, values in state.saved(tmp_path / "build" / state.NAME).items() if values}
    run.path = tmp_path / "build" / state.NAME
    return run


def test_a_killed_run_remembers_what_it_had_done(doit):
    assert doit("killed").returncode == -9
    assert doit.saved() == {"first"}
    assert doit("first").stdout == "-- first\n"


def test_two_doits_at_once_both_remember_even_when_a_task_has_failed(doit):
    assert doit("-c", "failing", "outer").returncode == 1
    assert doit.saved() == {"outer", "inner"}
    assert doit("inner", "outer").stdout == "-- inner\n-- outer\n"


def test_a_state_that_cannot_be_read_is_none(doit):
    assert state.saved(doit.path) == {}
    doit.path.parent.mkdir()
    doit.path.write_bytes(b"no database" * 100)
    assert state.saved(doit.path) == {}
    doit.path.unlink()
    doit.path.mkdir()
    assert state.saved(doit.path) == {}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_state_is_begun_anew(tmp_path_factory, data):
    """Whatever bytes the file has, doit reads what is right or nothing, and what it writes is there afterwards."""
    path = tmp_path_factory.mktemp("state") / state.NAME

    def opened() -> state.StateDB:
        return state.StateDB(str(path), JSONCodec())

    def save(database: state.StateDB, task: str) -> None:
        database.set(task, "_values_:", {"key": task})
        database.set(task, "deps:", ())

    before = opened()
    for number in range(60):
        save(before, f"task{number}")
    before.dump()
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))])
    after = opened()
    for number in range(60):
        found = after.get(f"task{number}", "_values_:")
        assert after.in_(f"task{number}") in (True, False) and (found is None or isinstance(found, dict))
    save(after, "another")
    after.remove("task3")
    save(after, "task4")
    after.dump()
    state.saved(path)
    again = opened()
    assert again.get("another", "_values_:") == {"key": "another"} and again.get("task4", "_values_:")
    again.dump()
