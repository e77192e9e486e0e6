"""Collecting keeps what is needed and what was used last, beside builds too; fsck finds what is not right."""

import os
import random
import subprocess
import sys

import pytest

from pipeline.engine.action import Action, closure
from pipeline.engine.fsck import check
from pipeline.engine.gc import blobs, collect, needs
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.store.store import PARTIAL
from tests.engine.graphs import build, check_whole, graph, mix
from tests.shared.loopback import cache
from tests.shared.machines import machine
from tests.store.test_fault import text


def later(store: Store) -> Store:
    """The store as a process sees it that begins later: everything in it was used an hour ago."""
    for path in [*store.root.glob("blobs/*/*"), *store.root.glob("actions/*/*")]:
        stamp = path.stat().st_mtime - 3600
        os.utime(path, (stamp, stamp))
    return open_store(store.root)


def size(store: Store) -> int:
    return sum(path.stat().st_size for _, path in blobs(store))


@pytest.mark.parametrize("seed", range(10))
def test_what_specs_need_stays_and_all_else_goes(store, seed):
    mine, others = graph(seed), graph(seed + 100)
    build(store, mine)
    alone = {blob for blob, _ in blobs(store)}
    right = build(store, mine + others)
    store = later(store)
    before = size(store)
    freed = collect(store, mine, 0)
    assert {blob for blob, _ in blobs(store)} == alone
    assert (freed.kept, freed.needed, freed.size) == (size(store), size(store), before - size(store))
    check_whole(store)
    assert check(store) == []
    assert not any(action.perform(store)[1] for action in closure(*mine))
    assert build(store, mine + others) == right


def test_the_budget_keeps_what_was_used_last(store):
    actions = [Action(f"text{number}", text, {"times": 1000 + number}) for number in range(10)]
    for action in actions:
        action.perform(store)
    store = later(store)
    for action in actions[:3]:
        action.perform(store)  # recalled, and so used, last
    os.utime(store.path(needs(store, actions[5:6]).pop()))
    store = later(store)
    whole = sum(store.size(blob) for blob in needs(store, actions[:3]))
    collect(store, [], whole)
    assert [store.recall(action.key) is not None for action in actions] == [True] * 3 + [False] * 7
    assert size(store) <= whole


def text_blob(action: Action) -> Digest:
    return Digest.of(b"text" * action.params["times"])


def test_what_a_shared_cache_has_whole_goes_first(tmp_path):
    """The results that were used last are in the cache, but for one of which it lost a blob."""
    actions = [Action(f"text{number}", text, {"times": 1000 + number}) for number in range(4)]
    with cache() as server:
        pushing = machine(tmp_path / "ci", server.url, sign="ci")
        for action in actions[2:]:
            action.perform(pushing)
        pushing.finish()
        del server.files[f"/cas/{text_blob(actions[2]).hex}"]
        alone = machine(tmp_path / "ci")
        for action in actions[:2]:
            action.perform(alone)
        for place, action in enumerate(actions):
            os.utime(alone.root / "actions" / action.key[:2] / action.key, (10**9 + place, 10**9 + place))
        later(alone)
        budget = sum(alone.size(blob) for blob in needs(alone, actions[:3]))
        server.log.clear()
        reader = machine(tmp_path / "ci", server.url)
        for most, remaining in ((2 * budget, 4), (budget, 3), (0, 0)):
            asked = len(server.log)
            collect(reader, [], most)
            assert [action for action in actions if reader.here(text_blob(action))] == actions[:remaining]
            assert (len(server.log) > asked) == (most == budget)


def test_a_dry_run_says_what_would_go_and_removes_nothing(store):
    build(store, graph(1))
    store = later(store)
    would, before = collect(store, [], 0, dry_run=True), sorted(store.root.rglob("*"))
    assert would.size == size(store) and would.kept == 0
    assert [path for path in before if not path.exists()] == []
    assert collect(store, [], 0) == would
    assert size(store) == 0


def test_without_a_budget_only_remains_of_killed_processes_go(store):
    build(store, graph(2))
    (store.root / "tmp" / "1-dead.1-0").write_text("half")
    (store.root / "tmp" / (PARTIAL + "sha256-ab")).write_text("a download that goes on")
    (store.root / "locks" / "dead").write_text("")
    store = later(store)
    assert collect(store, [], None).size == 0
    left = {path.name for path in (store.root / "tmp").iterdir() if path.suffix != ".lock"}
    assert left == {PARTIAL + "sha256-ab"}
    assert not any(path.name == "dead" for path in (store.root / "locks").iterdir())


def test_an_empty_or_absent_store_has_nothing_to_collect(store):
    assert collect(store, graph(1), 0) == (0, 0, 0, 0, 0)
    assert not store.root.exists()


def test_what_a_running_build_has_used_stays(store):
    old, new = Action("old", text, {"times": 10}), Action("new", text, {"times": 20})
    old.perform(store)
    running = later(store)
    old.perform(running)  # recalled
    new.perform(running)  # made
    part = running.put(b"a blob that no record speaks of yet")
    collect(open_store(store.root), [], 0)
    assert not any(action.perform(store)[1] for action in (old, new))
    assert store.has(part)


def test_collecting_again_and_again_beside_a_build_harms_nothing(tmp_path):
    """The clock of the collecting process is made to run ahead, so that it takes away what the build has just made."""
    root, actions = tmp_path / "cache", graph(7, most=20)
    right = build(open_store(tmp_path / "right"), actions)
    program = (
        "import sys, pathlib; from tests.engine.graphs import *; from pipeline.incremental import open_store\n"
        "for number in range(30): build(open_store(pathlib.Path(sys.argv[1])), graph(7, most=20))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, root])
    chance, rounds = random.Random(7), 0
    while process.poll() is None:
        for _, path in list(blobs(open_store(root))):
            if chance.random() < 0.02:
                path.unlink(missing_ok=True)
        collect(open_store(root), [], chance.choice([0, None, 10000]))
        rounds += 1
    assert process.returncode == 0 and rounds
    assert build(open_store(root), actions) == right


def test_fsck_names_what_it_removes(store):
    action = Action("mixed", mix, {"seed": 4, "size": 3000})
    result, _ = action.perform(store)
    store.path(result).unlink()
    [damage] = check(store)
    assert damage.what == f"record {action.key[:12]}: its result is gone"
    assert damage.path == store.root / "actions" / action.key[:2] / action.key
    (store.root / "actions" / "ab").mkdir(exist_ok=True)
    (store.root / "actions" / "ab" / "ab12").write_bytes(b"\xff not json")
    assert [damage.what for damage in check(store)] == ["record ab12: cannot be read"]
    assert check(store) == []
