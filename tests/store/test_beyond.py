"""Results from beyond the store: brought once, verified, and made again when they are gone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.action import closure
from pipeline.engine.fsck import check
from pipeline.engine.gc import collect, needs
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.store import Damaged, Missing
from pipeline.store.beyond import Beyond
from tests.engine.graphs import build, graph


class Other(Beyond):
    """Another store on the same disk, of which blobs can be lost at any moment."""

    keeps = True

    def __init__(self, store):
        self.store, self.known, self.lost, self.brought, self.left = store, {}, set(), [], -1

    def record(self, store, key):
        found = self.store.record(key)
        return found if found and self.whole(store, found.blobs) else None

    def whole(self, store, blobs):
        there = {blob: size for blob, size in blobs.items() if blob not in self.lost}
        self.known |= there
        return there.keys() == blobs.keys()

    def size(self, blob):
        return self.known.get(blob)

    def bring(self, store, blob):
        self.left -= 1
        if self.left == 0:
            self.lost |= self.known.keys()
            self.known.clear()
        if blob not in self.known:
            return False
        self.brought.append(blob)
        with store.create() as copy:
            copy.write(self.store.get(blob))
            copy.commit()
        return True


class Listing(Beyond):
    """Nothing beyond, but records list their blobs."""

    keeps = True


def pair(folder, actions):
    """A store beyond which another one has all results of `actions`, and what they are."""
    full = open_store(folder / "full", Listing)
    expected = build(full, actions)
    other = Other(full)
    return open_store(folder / "cache", lambda: other), other, expected


def test_a_blob_is_brought_when_it_is_read_and_once(tmp_path):
    actions = graph(3)
    store, other, expected = pair(tmp_path, actions)
    result, ran = actions[-1].perform(store)
    assert not ran and not store.here(result) and store.has(result) and not other.brought
    assert store.size(result) == other.store.size(result) and not other.brought
    tree = store.get(result)
    assert store.here(result) and other.brought == [result] and tree == other.store.get(result)
    for read in (store.stat, store.right, store.verify, lambda blob: store.open(blob).close()):
        read(result)
    assert other.brought == [result]
    assert build(store, actions) == expected
    assert len(other.brought) == len(set(other.brought))


def test_a_blob_that_nobody_has_is_missing(tmp_path):
    store, gone = open_store(tmp_path, Listing), Digest.of(b"gone")
    assert not store.has(gone)
    for ask in (store.get, store.open, store.size, store.stat, store.verify):
        with pytest.raises(Missing, match=gone):
            ask(gone)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 30))
def test_everything_may_be_lost_at_any_moment(tmp_path_factory, seed, moment):
    actions = graph(seed)
    store, other, expected = pair(tmp_path_factory.mktemp("lost"), actions)
    other.left = moment
    assert build(store, actions) == expected
    assert build(open_store(store.root), actions) == expected


@settings(max_examples=40)
@given(st.integers(0, 60), st.sets(st.integers(0, 40)))
def test_any_blobs_may_be_lost(tmp_path_factory, seed, lost):
    actions = graph(seed)
    store, other, expected = pair(tmp_path_factory.mktemp("lost"), actions)
    every = sorted({blob for action in closure(*actions) for blob in other.store.record(action.key).blobs})
    other.lost = {blob for place, blob in enumerate(every) if place in lost}
    assert build(store, actions) == expected


def test_what_was_brought_and_is_damaged_here_is_brought_again(tmp_path):
    actions = graph(3)
    store, other, expected = pair(tmp_path, actions)
    assert build(store, actions) == expected
    victim = max(other.brought, key=store.size)
    store.path(victim).chmod(0o644)
    store.path(victim).write_bytes(b"damaged")
    with pytest.raises(Damaged):
        store.verify(victim)
    assert build(store, actions) == expected and other.brought.count(victim) == 2


def test_collecting_and_checking_bring_nothing(tmp_path):
    actions = graph(3)
    store, other, _ = pair(tmp_path, actions)
    for action in closure(*actions):
        action.perform(store)
    assert not other.brought and not check(store) and not other.brought
    assert needs(store, actions) >= {store.record(action.key).result for action in actions}
    assert collect(store, actions, 0).blobs == 0 and not other.brought
    assert all(store.record(action.key) for action in closure(*actions))
