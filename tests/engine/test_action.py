"""Actions: everything that decides a result is in the key, nothing else is, and only what must run does."""

import copy
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engine.action import Action, Call, closure, run_locally
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.store import Store

VERSION = 1

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Nothing here is about time, and the host may be busy."""

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


def paths(value, path=()):
    """Every place inside a JSON value, the value itself first."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def changed(value, path, to):
    """A copy of `value` with `to` at `path`."""
    if not path:
        return to
    value = copy.copy(value)
    value[path[0]] = changed(value[path[0]], path[1:], to)
    return value


def at(value, path):
    for key in path:
        value = value[key]
    return value


def noted(store: Store, *inputs: Digest, **params) -> Digest:
    """A stage whose result tells all that it was given."""
    return store.put(json.dumps([inputs, params], sort_keys=True).encode())


def other(store: Store, *inputs: Digest, **params) -> Digest:
    raise AssertionError("never called")


@unhurried
@given(st.dictionaries(st.text(min_size=1), values, max_size=4), values, st.data())
def test_any_single_change_of_a_parameter_is_another_key(params, to, data):
    given_params = data.draw(st.sampled_from(list(paths(params))))
    mutant = changed(params, given_params, to) if given_params else {**params, "another": to}
    same = json.dumps(at(params, given_params), sort_keys=True) == json.dumps(to, sort_keys=True)
    before, after = Action("name", noted, params), Action("name", noted, mutant)
    assert (before.key == after.key) == (bool(given_params) and same)
    assert (before.hash(["x"]) == after.hash(["x"])) == (bool(given_params) and same)


@unhurried
@given(st.lists(st.sampled_from("abcdef"), max_size=5), st.lists(st.sampled_from("abcdef"), max_size=5))
def test_other_inputs_or_another_order_are_another_key(first, second):
    def with_inputs(names: list[str]) -> Action:
        return Action("name", noted, {}, tuple(Action("input", noted, {"name": name}) for name in names))

    assert (with_inputs(first).key == with_inputs(second).key) == (first == second)
    assert (with_inputs(first).hash(first) == with_inputs(first).hash(second)) == (first == second)


def test_another_version_or_function_is_another_key_for_all_that_builds_on_it(monkeypatch):
    def keys() -> list[str]:
        lower = Action("lower", noted, {"a": 1})
        return [lower.key, Action("upper", noted, {}, (lower,)).key]

    before = keys()
    for version in (2, "1", 1.0, None):
        monkeypatch.setattr("tests.engine.test_action.VERSION", version)
        assert not set(before) & set(keys())
    assert Action("name", other, {"a": 1}).key != Action("name", noted, {"a": 1}).key
    before = keys()
    monkeypatch.setattr("pipeline.model.columns.VERSION", "another")
    assert not set(before) & set(keys())


def test_the_name_and_the_place_in_a_file_are_not_in_the_key():
    plain = Action("name", noted, {"a": 1})
    assert Action("other name", noted, {"a": 1}, where=lambda path: "node.yml:1").key == plain.key


@pytest.mark.parametrize("params", [{"a": float("nan")}, {"a": b"bytes"}, {"a": Path("x")}, {"a": {1, 2}}])
def test_what_is_no_json_is_refused_as_a_parameter(params):
    with pytest.raises((TypeError, ValueError)):
        _ = Action("name", noted, params).key


def test_a_stage_is_handed_what_was_hashed_and_nothing_else(tmp_path):
    """Tuples, and keys that are no text, look alike in JSON: the stage must not be able to tell them apart either."""
    store = open_store(tmp_path)
    results = set()
    for params in ({"a": (1, 2), "b": {1: 2}}, {"a": [1, 2], "b": {"1": 2}}):
        action = Action("name", noted, params)
        store.forget(action.key)
        results.add((action.key, action.perform(store)[0]))
    assert len(results) == 1


def test_an_executor_sees_plain_values_only_and_decides_where_a_stage_runs(tmp_path):
    seen: list[Call] = []

    def elsewhere(store: Store, call: Call) -> Digest:
        seen.append(call)
        copied = Call(*json.loads(json.dumps([call.stage, call.version, call.params.decode(), call.inputs])))
        inputs = tuple(Digest.parse(text) for text in copied.inputs)
        return run_locally(store, copied._replace(params=copied.params.encode(), inputs=inputs))

    lower = Action("lower", noted, {"a": 1})
    upper = Action("upper", noted, {"b": "ü"}, (lower,))
    result, ran = upper.perform(open_store(tmp_path / "a"), elsewhere)
    assert ran and result == upper.perform(open_store(tmp_path / "b"))[0]
    assert [(call.stage, call.version, json.loads(call.params)) for call in seen] == [
        ("tests.engine.test_action.noted", 1, {"a": 1}),
        ("tests.engine.test_action.noted", 1, {"b": "ü"}),
    ]
    assert seen[1].inputs == (lower.perform(open_store(tmp_path / "a"))[0],)


# what must run


class Broken(Exception):
    """What a stage of the model fails with."""


ran: set[tuple[int, tuple[Digest, ...]]] = set()
broken: set[int] = set()
"""Numbers of the stages that fail for now: nothing that a key could know."""
guard = threading.Lock()


def total(store: Store, *inputs: Digest, number: int, modulus: int) -> Digest:
    """A sum with few possible results, so that changed inputs often give what they gave before."""
    with guard:
        ran.add((number, inputs))
    if number in broken:
        raise Broken
    return store.put(b"%d" % ((number + sum(int(store.get(given)) for given in inputs)) % modulus))


def must_run(actions, known):
    """The model: an action must run if its inputs could be made and it has not given a result for their values yet."""
    values = {}
    for action in closure(*actions):
        inputs, number = tuple(values[given.name] for given in action.inputs), action.params["number"]
        runs = None not in inputs and (number, inputs) not in known
        values[action.name] = None if None in inputs or (runs and number in broken) else result_of(action, inputs)
        if runs:
            yield number, inputs


def result_of(action, inputs):
    return (action.params["number"] + sum(inputs)) % action.params["modulus"]


@st.composite
def edits(draw):
    """The shape of a graph, and what its stages' numbers are in one build after another."""
    size = draw(st.integers(2, 9))
    shape = [draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else [] for number in range(size)]
    numbers = st.lists(st.integers(0, 3), min_size=size, max_size=size)
    failing = st.sets(st.integers(0, size - 1), max_size=2)
    return shape, draw(st.lists(st.tuples(numbers, failing), min_size=1, max_size=5))


def graph(shape, numbers):
    made = []
    for place, inputs in enumerate(shape):
        params = {"number": place * 10 + numbers[place], "modulus": 2 + place % 3}
        made.append(Action(f"stage{place}", total, params, tuple(made[given] for given in inputs)))
    return made


def attempt(action, store):
    try:
        action.perform(store)
    except Broken:
        return False
    return True


@settings(unhurried, max_examples=60)
@given(edits(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_what_runs_is_what_the_model_says_after_any_edits_in_parallel_and_with_failures(
    tmp_path_factory, history, threads, chance: random.Random
):
    shape, builds = history
    store = open_store(tmp_path_factory.mktemp("model"))
    known: set = set()
    for numbers, failing in builds:
        actions = graph(shape, numbers)
        ran.clear()
        broken.clear()
        broken.update(actions[place].params["number"] for place in failing)
        expected = set(must_run(actions, known))
        order = chance.sample(actions, len(actions))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda action: attempt(action, store), order))
        assert {(number, tuple(int(store.get(given)) for given in inputs)) for number, inputs in ran} == expected
        known |= {each for each in expected if each[0] not in broken}
