"""A shared cache in front of random graphs of actions: the same bytes whatever it loses, and nothing twice."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import action as engine
from pipeline.engine.action import closure
from tests.engine.graphs import build as plain
from tests.engine.graphs import graph
from tests.shared.loopback import cache
from tests.shared.machines import build, machine


@pytest.fixture
def ran(monkeypatch):
    """The calls of stages."""
    calls, execute = [], engine.run_locally
    monkeypatch.setattr(engine, "run_locally", execute)

    def mix(store, *inputs, seed, size):
        calls.append(seed)
        return original(store, *inputs, seed=seed, size=size)

    from tests.engine import graphs

    original = graphs.mix
    mix.__module__, mix.__name__, mix.__qualname__ = original.__module__, "mix", "mix"
    monkeypatch.setattr(graphs, "mix", mix)
    return calls


def test_a_second_machine_runs_nothing_and_a_second_push_sends_nothing(tmp_path, ran):
    actions = graph(4)
    with cache() as server:
        expected = build(machine(tmp_path / "ci", server.url, sign="ci"), actions)
        count, puts = len(ran), server.count("PUT")
        assert count and server.names("cas") and len(server.names("ac")) > count
        reader = machine(tmp_path / "laptop", server.url)
        assert build(reader, actions) == expected
        assert len(ran) == count and server.count("PUT") == puts
        assert reader.beyond.counts.hits == len([*closure(*actions)])
        server.log.clear()
        again = machine(tmp_path / "ci", server.url, sign="ci")
        assert build(again, actions) == expected
        assert server.log == [("GET", server.log[0][1])]


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 100))
def test_the_bytes_are_the_same_whatever_is_gone_or_damaged(tmp_path_factory, seed, share):
    folder, actions, chance = tmp_path_factory.mktemp("lost"), graph(seed), random.Random(seed + share)
    with cache() as server:
        expected = build(machine(folder / "ci", server.url, sign="ci"), actions)

        def lose(request):
            """Drops blobs and flips bits, before any request."""
            for path in server.names("cas"):
                if chance.randrange(400) < share:
                    if chance.randrange(3):
                        del server.files[path]
                    else:
                        data = bytearray(server.files[path])
                        data[chance.randrange(len(data))] ^= 1
                        server.files[path] = bytes(data)
            return False

        server.rule = lose
        reader = machine(folder / "laptop", server.url)
        assert build(reader, actions) == expected
        server.rule = lambda request: False
        assert build(machine(folder / "laptop", server.url), actions) == expected
    assert plain(machine(folder / "laptop"), actions) == expected
