"""Stages on workers: real schedulers and workers as processes, which are killed, full, other versions or not there."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.engine.action import Action
from pipeline.incremental import open_store
from pipeline.language.problem import StageProblem, collect_warnings
from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.workers.dask import Workers
from pipeline.workers.label import PREFIX, label
from tests import patience
from tests.engine.graphs import build, graph
from tests.project import ROOT
from tests.workers import stages
from tests.workers.cluster import Cluster, cluster

WAIT = 60
"""Seconds for which a stage may wait for a worker where one will take it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of client and workers."""
    return tmp_path_factory.mktemp("shared") / "cache"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Cluster]:
    """Three workers that no test harms."""
    with cluster(tmp_path_factory.mktemp("cluster"), 3, store=folder) as made:
        yield made


@pytest.fixture
def ran(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The names of the stages that workers ran."""
    names: list[str] = []

    class Remote(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if run := re.match(r"ran (\S+) on \w+://", record.getMessage()):
                names.append(run[1])

    handler, logger = Remote(), logging.getLogger("nodekiln")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield names
    logger.removeHandler(handler)


def test_the_results_are_those_of_one_machine(three, folder, tmp_path, ran):
    execute = Workers(three.address, WAIT, least=0)
    store, here = open_store(folder), open_store(tmp_path)
    for seed in range(4):
        actions = graph(seed)

        def perform(action: Action) -> Digest:
            return action.perform(store, execute)[0]

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(perform, actions))
        assert results == [action.perform(here)[0] for action in actions]
        assert build(store, actions) == build(here, actions)
    assert ran
    execute.close()


def test_only_stages_that_are_worth_it_and_need_nothing_of_the_host_are_sent(three, folder, ran):
    store, execute = open_store(folder), Workers(three.address, WAIT, least=5)
    for number in range(3):
        Action("light", stages.nothing, {"number": number}).perform(store, execute)
        Action("host", stages.host, {"number": number}).perform(store, execute)
    execute.close()
    assert ran == ["light"], "a stage that was never seen is sent once"


def test_warnings_and_problems_are_those_of_a_stage_that_runs_here(three, folder, ran):
    store, execute = open_store(folder), Workers(three.address, WAIT, least=0)
    with collect_warnings() as warnings:
        Action("warning", stages.warning, {"message": "too loud"}).perform(store, execute)
    assert warnings == [(("services", 2, "command"), "too loud", "do it")]
    with pytest.raises(StageProblem) as caught:
        Action("refusing", stages.refusing, {"message": "wrong"}).perform(store, execute)
    assert (caught.value.path, caught.value.hint) == (("files", 1), "like this")
    execute.close()
    assert ran == ["warning"]


class Held:
    """The stage `held`, performed in a thread with `execute`."""

    def __init__(self, store: Store, place: Path, execute: Workers) -> None:
        self.gate = place / "gate"
        os.mkfifo(self.gate)
        self.action = Action("held", stages.held, {"gate": str(self.gate)})
        self.results: list[Digest] = []
        self._thread = threading.Thread(target=lambda: self.results.append(self.action.perform(store, execute)[0]))
        self._thread.start()

    def running(self) -> tuple[int, list[int]]:
        """Waits until the stage runs, and returns the open pipe, and the processes that it has run in."""
        pipe = os.open(self.gate, os.O_WRONLY)
        return pipe, [*map(int, Path(f"{self.gate}.runs").read_text().split())]

    def finish(self, pipe: int, store: Store) -> None:
        """Lets the stage that reads the pipe end, and checks its result."""
        os.write(pipe, b"open")
        os.close(pipe)
        self._thread.join(patience.seconds(60))
        assert [store.bytes(store.tree(result).file("gate").content) for result in self.results] == [b"open"]


def test_a_stage_whose_worker_is_killed_runs_on_another_one(tmp_path, ran):
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 2, store=store.root) as two:
        execute = Workers(two.address, WAIT, least=0)
        held = Held(store, tmp_path, execute)
        pipe, pids = held.running()
        next(process for process in two.workers if process.running.pid == pids[0]).end()
        os.close(pipe)
        pipe, pids = held.running()
        held.finish(pipe, store)
        execute.close()
    assert len(pids) == 2 and set(pids) == {process.running.pid for process in two.workers}
    assert ran == ["held"]


def test_without_workers_a_stage_waits_as_long_as_configured_and_the_next_one_not_at_all(tmp_path, ran, capsys):
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 1, store=store.root) as one:
        execute = Workers(one.address, 0.5, least=0)
        held = Held(store, tmp_path, execute)
        pipe, pids = held.running()
        one.workers[0].end()
        os.close(pipe)
        pipe, pids = held.running()
        assert pids[1:] == [os.getpid()]
        held.finish(pipe, store)
        Action("next", stages.nothing, {"number": 1}).perform(store, execute)
        assert ran == []
        one.add(store=store.root)
        one.ready()
        Action("after", stages.nothing, {"number": 2}).perform(store, execute)
        execute.close()
    assert ran == ["after"], "a worker that comes back is used"
    assert capsys.readouterr().err.count("warning") == 1


def test_when_the_scheduler_dies_stages_run_here(tmp_path, ran, capsys):
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 1, store=store.root) as one:
        execute = Workers(one.address, WAIT, least=0)
        held = Held(store, tmp_path, execute)
        first, _ = held.running()
        one.workers[0].end()
        os.close(first)
        one.scheduler.end()
        pipe, pids = held.running()
        assert pids[1:] == [os.getpid()]
        held.finish(pipe, store)
        Action("next", stages.nothing, {"number": 1}).perform(store, execute)
        execute.close()
    assert ran == []
    assert capsys.readouterr().err.count("warning") == 1


def test_a_scheduler_that_is_not_there_is_asked_once(tmp_path, ran, capsys):
    store, execute = open_store(tmp_path), Workers("tcp://127.0.0.1:1", 0.5, least=0)
    for number in range(3):
        Action("stage", stages.nothing, {"number": number}).perform(store, execute)
    assert ran == []
    assert capsys.readouterr().err.count("warning: workers: tcp://127.0.0.1:1: ") == 1


def test_a_worker_of_another_version_runs_nothing(tmp_path, ran, capsys):
    shutil.copytree(ROOT / "pipeline", tmp_path / "other/pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other/pipeline/stages/pull.py").open("a") as file:
        file.write("# another version\n")
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 0) as none:
        other = none.add(store=store.root, PYTHONPATH=f"{tmp_path / 'other'}:{ROOT}")
        none.ready()
        assert label() not in other.read_until(PREFIX)
        execute = Workers(none.address, 0.5, least=0)
        Action("stage", stages.nothing, {"number": 1}).perform(store, execute)
        execute.close()
    assert ran == []
    assert f"no worker with the label {label()}" in capsys.readouterr().err


def test_a_worker_whose_disk_is_full_gets_no_more_stages(tmp_path, ran, capsys):
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 0) as made:
        made.add(store=tmp_path / "cache", shell=["sh", "-c", 'ulimit -f 64; exec "$@"', "sh"])
        made.ready()
        execute = Workers(made.address, 0.5, least=0)
        large = Action("large", stages.large, {"size": 1 << 20}).perform(store, execute)[0]
        assert ran == [] and store.tree(large).file("large").size == 1 << 20
        Action("second", stages.nothing, {"number": 1}).perform(store, execute)
        assert ran == []
        made.add(store=tmp_path / "cache")
        made.ready()
        Action("third", stages.large, {"size": 2 << 20}).perform(store, execute)
        execute.close()
    assert ran == ["third"]
    assert capsys.readouterr().err.count("gets no more stages: ") == 1


def test_a_stage_that_never_ends_on_a_worker_runs_here_too(tmp_path, ran, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.workers.dask.LONGEST_SECONDS", 1.0)
    store = open_store(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 1, store=store.root) as one:
        execute = Workers(one.address, WAIT, least=0)
        held = Held(store, tmp_path, execute)
        pipe, pids = held.running()
        while len(pids) < 2:
            pids = [*map(int, Path(f"{held.gate}.runs").read_text().split())]
        one.workers[0].end()
        held.finish(pipe, store)
        execute.close()
    assert pids[1] == os.getpid() and ran == []
