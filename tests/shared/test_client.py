"""A shared cache in front of random graphs of actions: the same bytes whatever it loses, and nothing twice."""

import functools
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.action import Action, closure
from pipeline.model.tree import files
from pipeline.shared import client
from pipeline.shared.records import Conflict
from tests.engine import graphs
from tests.engine.graphs import build as plain
from tests.engine.graphs import graph
from tests.shared.loopback import cache
from tests.shared.machines import build, machine

VERSION = 1
SLOW = ("hangs", "drips")
"""Faults that a time-out ends."""


@pytest.fixture
def ran(monkeypatch):
    """The stages that ran."""
    calls, mix = [], graphs.mix

    @functools.wraps(mix)
    def counted(store, *inputs, **params):
        calls.append(params)
        return mix(store, *inputs, **params)

    monkeypatch.setattr(graphs, "mix", counted)
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


def pushed(folder, server, actions, **more):
    """What `actions` give, which a machine has pushed to `server`."""
    return build(machine(folder / "ci", server.url, sign="ci", **more), actions)


def test_what_is_not_signed_by_a_trusted_key_is_not_used(tmp_path, ran):
    actions = graph(4)
    with cache() as server:
        pushed(tmp_path, server, actions, trusted=("ci", "mallory"))
        count = len(ran)
        for number, trusted in enumerate([("other",), ("other", "mallory")]):
            reader = machine(tmp_path / f"laptop{number}", server.url, trusted=trusted)
            build(reader, actions)
            assert reader.beyond.counts.hits == 0 and len(ran) == count * (number + 2)
        names = server.names("ac")
        statements = [server.files[name] for name in names]
        for place, name in enumerate(names):  # each under the key of the next
            server.files[name] = statements[place - 1]
        reader = machine(tmp_path / "replayed", server.url)
        build(reader, actions)
        assert reader.beyond.counts.hits == 0 and len(ran) == count * 4


@pytest.mark.parametrize("fault", ["closed", "hangs", "drips", "status", "garbage"])
def test_a_cache_that_fails_is_said_once_and_not_asked_again(tmp_path, capsys, fault, ran):
    actions, end = graph(4), threading.Event()

    def rule(request):
        match fault:
            case "hangs":
                end.wait()
            case "drips":
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(100):
                    request.wfile.write(bytes([byte]))
                    if end.wait(0.05):
                        break
            case "status":
                request.answer(500, b"later")
            case "garbage":
                request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        request.close_connection = True
        return True

    with cache() as server:
        server.rule = rule
        url = "http://127.0.0.1:1" if fault == "closed" else server.url
        store = machine(tmp_path / "ci", url, sign="ci", timeout=0.3 if fault in SLOW else 30)
        expected = build(store, actions)
        assert len(server.log) <= 1
        end.set()
    assert capsys.readouterr().err.count("warning: ") == 1
    assert plain(machine(tmp_path / "alone"), actions) == expected


def test_a_cache_that_dies_meanwhile_costs_what_it_had(tmp_path, capsys):
    actions = graph(4)
    with cache() as server:
        expected = pushed(tmp_path, server, actions)
        server.rule = lambda request: (
            request.path.startswith("/cas/") and request.command == "GET" and not request.answer(500)
        )
        assert build(machine(tmp_path / "laptop", server.url), actions) == expected
        assert server.count("GET", "cas") == 1
    assert capsys.readouterr().err.count("warning: ") == 1


def test_a_full_cache_is_still_read(tmp_path, capsys):
    first, second = graph(4), graph(5)
    with cache() as server:
        expected = pushed(tmp_path, server, first)
        puts = server.count("PUT")
        server.rule = lambda request: request.command == "PUT" and not request.answer(507)
        writer = machine(tmp_path / "other", server.url, sign="ci")
        build(writer, second)
        assert server.count("PUT") > puts and not writer.beyond.caches[0].pushes
        hits = writer.beyond.counts.hits
        assert build(writer, first) == expected and writer.beyond.counts.hits > hits
    assert capsys.readouterr().err.count("nothing more is pushed") == 1


def test_a_cache_of_wrong_blobs_is_left_after_some(tmp_path, capsys):
    actions = graph(4)
    with cache() as server:
        expected = pushed(tmp_path, server, actions)
        for name in server.names("cas"):
            server.files[name] = bytes(len(server.files[name]))
        assert build(machine(tmp_path / "laptop", server.url), actions) == expected
    assert capsys.readouterr().err.count("has another sum") == 1


def test_two_signed_results_for_one_key_stop_the_build(tmp_path):
    """Machines that give different bytes for the same inputs: each has a stage of its own, under one name."""
    trusted, actions = ("ci", "other"), [Action("stage", chance, {"name": "x"})]
    with cache() as one, cache() as two:
        build(machine(tmp_path / "ci", one.url, sign="ci"), actions)
        build(machine(tmp_path / "other", two.url, sign="other", trusted=trusted), actions)
        reader = machine(tmp_path / "laptop", one.url, two.url, trusted=trusted)
        with pytest.raises(Conflict, match=r"ci signed the result sha256:\w+, other sha256:\w+"):
            build(reader, actions)
        audited = machine(tmp_path / "audited", one.url, audit=1.0)
        with pytest.raises(Conflict, match=r"ci signed the result sha256:\w+, this user sha256:\w+"):
            build(audited, actions)
        pusher = machine(tmp_path / "third", one.url, sign="other", trusted=trusted, audit=1.0)
        with pytest.raises(Conflict, match=r"not reproducible: ci signed the result sha256:\w+, other sha256:\w+"):
            build(pusher, actions)


def test_what_another_signed_is_not_signed_again(tmp_path):
    """The own key is for what the own machine made: what only a key signed that is trusted no more is a miss."""
    first, more, both = graph(4), [Action("last", graphs.mix, {"seed": 1, "size": 10}, tuple(graph(4)))], ("old", "new")
    with cache() as server:
        expected = build(machine(tmp_path / "old", server.url, sign="old", trusted=both), first)
        puts = server.count("PUT")
        successor = machine(tmp_path / "new", server.url, sign="new", trusted=both)
        assert build(successor, first) == expected and server.count("PUT") == puts
        build(successor, more)
        assert successor.beyond.counts.stated == 3  # the new action, and its plan, which has it alone
        reader = machine(tmp_path / "laptop", server.url, trusted=("new",))
        build(reader, more)
        assert reader.beyond.counts.hits == 1
        server.files.clear()
        again = machine(tmp_path / "new", server.url, sign="new", trusted=("new",))
        assert build(again, first) == expected and not server.files
        again = machine(tmp_path / "old", server.url, sign="new", trusted=("new",))
        assert build(again, first) == expected and server.files  # what this machine made itself


def test_an_audit_makes_its_share_again_and_compares(tmp_path, ran):
    actions = graph(4)
    with cache() as server:
        expected, count = pushed(tmp_path, server, actions), len(ran)
        for share, again in ((1.0, count), (0.0, 0)):
            ran.clear()
            assert build(machine(tmp_path / f"laptop{share}", server.url, audit=share), actions) == expected
            assert len(ran) == again


def chance(store, *, name):
    """A stage that is not reproducible."""
    return store.put_tree(files([(name, store.content(random.randbytes(8)))]))


def test_what_is_on_a_mirror_is_pushed_without_its_bytes(tmp_path, monkeypatch, ran):
    actions = graph(4)
    monkeypatch.setattr(client, "MIRRORED", ("tests.engine.graphs.mix",))
    with cache() as server:
        expected, count = pushed(tmp_path, server, actions), len(ran)
        assert not server.names("cas") and server.names("ac")
        reader = machine(tmp_path / "laptop", server.url)
        reader.beyond.prepare(reader, [action.key for action in closure(*actions)])
        results = [action.perform(reader) for action in actions]
        assert not any(again for _, again in results) and len(ran) == count
        assert build(reader, actions) == expected and len(ran) == 2 * count
        build(machine(tmp_path / "everything", server.url, sign="ci", everything=True), graph(5))
        assert server.names("cas")


def test_one_changed_input_pushes_what_changed(tmp_path):
    with cache() as server:
        pushed(tmp_path, server, graph(4))
        before = {*server.files}
        store = machine(tmp_path / "ci", server.url, sign="ci")
        last = Action("last", graphs.mix, {"seed": 1, "size": 10}, tuple(graph(4)))
        build(store, [last])
        new = {*server.files} - before
        assert store.beyond.counts.pushed == sum(name.startswith("/cas/") for name in new) <= 3
        assert store.beyond.counts.stated == sum(name.startswith("/ac/") for name in new) == 3


def test_a_build_waits_for_pushes_only_so_long(tmp_path):
    end = threading.Event()
    with cache() as server:
        server.rule = lambda request: request.command == "PUT" and end.wait() and False
        store = machine(tmp_path / "ci", server.url, sign="ci", wait=0.2)
        build(store, graph(4))
        assert store.beyond.counts.unpushed and "not pushed in time" in str(store.beyond.counts)
        end.set()


def test_blobs_of_an_output_come_side_by_side(tmp_path):
    """Two requests are under way at once: each waits for the other."""
    actions, both = graph(4), threading.Barrier(2)
    with cache() as server:
        pushed(tmp_path, server, actions)
        reader = machine(tmp_path / "laptop", server.url)
        contents = [
            entry.content for action in actions for entry in reader.tree(action.perform(reader)[0]).files().values()
        ]
        met = []

        def rule(request):
            if request.path.startswith("/cas/") and not met:
                both.wait(60)
                met.append(True)
            return False

        server.rule = rule
        reader.gather(contents)
        assert met
        assert all(piece.blob is None or reader.here(piece.blob) for content in contents for piece in content)
