"""Workers with stores of their own: blobs travel through nginx, and what is lost there is made here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine.action import Action, closure
from pipeline.incremental import open_store
from pipeline.workers.dask import Workers
from tests.engine.graphs import build, graph
from tests.shared import servers
from tests.shared.machines import key_file, machine, trust
from tests.workers import stages
from tests.workers.cluster import Cluster, cluster
from tests.workers.test_dask import WAIT, Held, ran  # noqa: F401


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


def variables(cache: servers.Server, place: Path, push: bool = True) -> dict[str, str]:
    """A worker's, that uses the cache."""
    signs = {"NODEKILN_SHARED_PUSH": "1", "NODEKILN_SIGN": str(key_file(place, "ci"))} if push else {}
    return {"NODEKILN_SHARED": cache.address(cache.port), "NODEKILN_TRUST": trust("ci"), **signs}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, cache: servers.Server) -> Iterator[Cluster]:
    """Three workers with stores of their own, that no test harms."""
    place = tmp_path_factory.mktemp("cluster")
    with cluster(place, 3, **variables(cache, place)) as made:
        yield made


def test_the_results_are_those_of_one_machine(three, cache, tmp_path, ran):  # noqa: F811
    execute, here = Workers(three.address, WAIT, least=0), open_store(tmp_path / "here")
    for seed in range(4):
        store, actions = machine(tmp_path / str(seed), cache.address(cache.port), sign="ci"), graph(seed)
        results = [action.perform(store, execute)[0] for action in actions]
        assert results == [action.perform(here)[0] for action in actions]
        assert build(store, actions) == build(here, actions)
    assert ran
    execute.close()


def test_a_result_whose_blobs_are_lost_on_the_way_is_made_here(three, cache, tmp_path, ran):  # noqa: F811
    execute, here = Workers(three.address, WAIT, least=0), open_store(tmp_path / "here")
    store, actions = machine(tmp_path / "client", cache.address(cache.port), sign="ci"), graph(77)
    for action in closure(*actions):
        action.perform(store, execute)
        for path in cache.folder.rglob("cas/*"):
            path.unlink()
    assert ran
    assert build(store, actions) == build(here, actions)
    execute.close()


def test_a_stage_whose_worker_is_killed_runs_on_another_one(cache, tmp_path, ran):  # noqa: F811
    store = machine(tmp_path / "client", cache.address(cache.port), sign="ci")
    with cluster(tmp_path / "cluster", 2, **variables(cache, tmp_path)) as two:
        execute = Workers(two.address, WAIT, least=0)
        held = Held(store, tmp_path, execute)
        pipe, pids = held.running()
        next(process for process in two.workers if process.running.pid == pids[0]).end()
        os.close(pipe)
        pipe, pids = held.running()
        held.finish(pipe, store)
        execute.close()
    assert len(pids) == 2 and ran == ["held"]


def test_who_can_neither_push_nor_see_the_same_folder_works_alone(cache, tmp_path, ran, capsys):  # noqa: F811
    with cluster(tmp_path / "cluster", 1, **variables(cache, tmp_path, push=False)) as one:
        for number, store in enumerate((
            machine(tmp_path / "signs", cache.address(cache.port), sign="ci"),
            machine(tmp_path / "reads", cache.address(cache.port)),
            open_store(tmp_path / "alone"),
        )):  # fmt: skip
            execute = Workers(one.address, 0.5, least=0)
            lower = Action("host", stages.host, {"number": number})
            Action("upper", stages.over, {}, (lower,)).perform(store, execute)
            execute.close()
    shown = capsys.readouterr().err
    assert ran == []
    assert "its shared cache takes nothing from it: see NODEKILN_SHARED_PUSH" in shown
    assert "the shared cache takes nothing that workers need: see NODEKILN_SHARED_PUSH" in shown
    assert ": it has another store, and no cache with it" in shown
