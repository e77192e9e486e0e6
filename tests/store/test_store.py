"""The store: what is put comes back, a rope is the bytes that went in, actions run once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.action import Action, closure
from pipeline.incremental import open_store
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, only
from pipeline.store import Missing, Store

VERSION = 1


pieces = st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 20)), max_size=12)


@given(pieces)
def test_a_rope_is_the_bytes_that_were_written(tmp_path_factory, parts):
    store = open_store(tmp_path_factory.getbasetemp() / "shared")
    rope, expected = store.rope(), b""
    for number, part in enumerate(parts):
        if isinstance(part, int):
            rope.zeros(part)
            expected += bytes(part)
        elif number % 2:
            rope.extend(store.content(part))
            expected += part
        else:
            rope.write(part)
            expected += part
        assert rope.tell() == len(expected)
    content = rope.finish()
    assert store.bytes(content) == expected
    assert trees.length(content) == len(expected)
    target = tmp_path_factory.getbasetemp() / "exported"
    assert store.export(content, target) == Digest.of(expected)
    assert target.read_bytes() == expected


def test_nothing_half_written_is_ever_visible(store):
    with pytest.raises(ZeroDivisionError), store.create() as blob:
        blob.write(b"half")
        raise ZeroDivisionError
    assert [path.suffix for path in (store.root / "tmp").iterdir()] == [".lock"]
    assert not any((store.root / "blobs" / "sha256").iterdir())


def test_a_missing_blob_says_so(store):
    gone = Digest.of(b"gone")
    for ask in (store.get, store.open, store.size):
        with pytest.raises(Missing, match=gone):
            ask(gone)
    with pytest.raises(Missing, match=gone):
        store.bytes((Slice(gone, 0, 4),))


def test_a_hole_stays_a_hole(store, tmp_path):
    rope = store.rope()
    rope.write(b"x")
    rope.zeros(64 << 20)
    store.export(rope.finish(), tmp_path / "sparse")
    assert (tmp_path / "sparse").stat().st_size == (64 << 20) + 1
    assert (tmp_path / "sparse").stat().st_blocks * 512 < 1 << 20


calls: list[str] = []


def constant(store: Store, *inputs: Digest, text: str) -> Digest:
    """A stage whose result does not depend on its inputs."""
    calls.append(text)
    return store.put_tree(only("file", store.content(text.encode())))


def count(store: Store, *inputs: Digest, label: str) -> Digest:
    """A stage that tells how many inputs it had."""
    calls.append(label)
    return store.put_tree(only("file", store.content(b"%d" % len(inputs))))


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def test_an_action_runs_once_for_any_number_of_threads(store):
    barrier = threading.Barrier(8)

    def perform(_):
        barrier.wait()
        return Action("name", constant, {"text": "once"}).perform(open_store(store.root))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(perform, range(8)))
    assert calls == ["once"]
    assert len({digest for digest, _ in results}) == 1
    assert [ran for _, ran in results].count(True) == 1


def test_a_changed_input_that_gives_the_same_result_stops_there(store):
    def top(note: str) -> Action:
        lower = Action("lower", constant, {"text": "same"}, (Action("note", constant, {"text": note}),))
        return Action("top", count, {"label": "top"}, (lower,))

    first, _ = top("a").perform(store)
    calls.clear()
    second, ran = top("b").perform(store)
    assert (first, ran) == (second, False)
    assert calls == ["b", "same"]


def test_what_was_deleted_is_made_again(store):
    action = Action("top", count, {"label": "top"}, (Action("lower", constant, {"text": "low"}),))
    first, _ = action.perform(store)
    for digest in [action.inputs[0].perform(store)[0], first]:
        store.path(digest).unlink()
    calls.clear()
    assert action.perform(store) == (first, True)
    assert calls == ["low", "top"]


def test_closure_gives_inputs_first_and_each_action_once():
    a = Action("a", constant, {"text": "a"})
    b = Action("b", constant, {"text": "b"}, (a,))
    c = Action("c", constant, {"text": "c"}, (a, b))
    assert [action.name for action in closure(c, b)] == ["a", "b", "c"]
