"""No byte of a blob is handed out that is not right, whatever is done to the store's files, and when."""

import hashlib
import os
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import fsck
from pipeline.engine.action import Action
from pipeline.host.stamp import stamp
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, only
from pipeline.store import Missing, Store
from pipeline.store.reading import TOGETHER
from pipeline.store.verified import SMALL
from tests.damage import flip

SIZES = (1, 5000, SMALL + 1, 4 * TOGETHER)
"""Blobs that are hashed whenever they are opened, and some whose marks are kept; read in windows, and whole."""
DATA = [bytes((at * step >> 3) & 0xFF for at in range(size)) for step, size in enumerate(SIZES, 1)]


def change(how, path, place, other):
    """Does something to the file of a blob, with every time stamp put back that can be."""
    if not path.exists():
        return
    stamp = path.stat()
    if how == "flip":
        flip(path, place % max(stamp.st_size, 1)) if stamp.st_size else None
    elif how == "cut":
        path.chmod(0o644)
        os.truncate(path, place % max(stamp.st_size, 1))
    elif how == "other":
        path.unlink()
        path.write_bytes(other)
    elif how == "touch":
        os.utime(path)
    elif how == "delete":
        path.unlink()
        return
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


hows = st.sampled_from(["flip", "cut", "other", "touch", "delete", "read", "read again", "export", "new", "put"])
steps = st.lists(st.tuples(hows, st.integers(0, len(DATA) - 1), st.integers(0, 1 << 20)), min_size=1, max_size=8)


@given(steps)
@settings(max_examples=120, deadline=None)
def test_what_is_read_is_right_or_missing(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("verified")
    store = open_store(folder / "cache")
    names = [store.put(data) for data in DATA]
    for how, number, place in steps:
        blob, data = names[number], DATA[number]
        start = place % len(data)
        if how == "new":
            store = open_store(store.root)
        elif how == "put":
            assert store.put(data) == blob and store.get(blob) == data
        elif how.startswith("read"):
            content = (Slice(blob, start, len(data) - start),)
            try:
                assert store.bytes(content) == data[start:]
            except Missing:
                assert not store.has(blob)
        elif how == "export":
            try:
                assert store.export((Slice(blob, start, len(data) - start), Slice(None, 0, 2 << 20)), folder / "out")
            except Missing:
                assert not store.has(blob)
                continue
            assert (folder / "out").read_bytes() == data[start:] + bytes(2 << 20)
        else:
            change(how, store.path(blob), place, DATA[number - 1])


@pytest.mark.parametrize("number", range(len(DATA)))
def test_a_blob_that_is_written_to_while_it_is_read_is_damaged(tmp_path, number):
    store, data = open_store(tmp_path), DATA[number]
    blob = store.put(data)
    rows = store.read((Slice(blob, 0, 1), Slice(blob, 0, len(data)), Slice(None, 0, 1), Slice(blob, 0, len(data))))
    read = b""
    with pytest.raises(Missing):
        for count, some in enumerate(rows):
            read += some
            if not count:
                flip(store.path(blob), len(data) - 1)
        raise Missing(blob)  # the smallest came at once
    assert (data[:1] + data + bytes(1) + data).startswith(read)


def test_what_is_mapped_into_memory_is_looked_at_when_it_was_used(tmp_path):
    store = open_store(tmp_path)
    blob = store.put(DATA[2])
    with pytest.raises(Missing, match=blob), store.open_checked(blob):
        flip(store.path(blob), 0)
    blob = store.put(DATA[2])
    with store.open_checked(blob):
        os.utime(store.path(blob))


def test_threads_that_find_the_same_damage_remove_it_once(tmp_path):
    store = open_store(tmp_path)
    blob = store.put(DATA[2])
    flip(store.path(blob), 7)
    barrier, found = threading.Barrier(4), []

    def read():
        barrier.wait()
        try:
            store.open(blob).close()
        except Missing as missing:
            found.append(missing.digest)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [blob] * 4 and not store.has(blob)
    assert store.put(DATA[2]) == blob and store.get(blob) == DATA[2]


VERSION = 1


def summed(store: Store, *inputs: Digest, number: int) -> Digest:
    """A stage that reads all of its inputs and refers to none of their blobs."""
    found = hashlib.sha512(b"%d" % number)
    for each in inputs:
        found.update(store.bytes(store.tree(each)["sum"].content))
    return store.put_tree(only("sum", store.content(found.digest() * 2)))


def chain(seed: int) -> list[Action]:
    """A random graph of such stages, inputs before what uses them."""
    chance, made = random.Random(seed), list[Action]()
    for number in range(chance.randint(3, 9)):
        inputs = chance.sample(made, min(number, chance.randint(1, 2)))
        made.append(Action(f"stage{number}", summed, {"number": number}, tuple(inputs)))
    return made


def sums(store: Store, actions: list[Action]) -> list[bytes]:
    return [action.use(store, lambda result: store.bytes(store.tree(result)["sum"].content)) for action in actions]


@pytest.mark.parametrize("found_by", ["fsck", "a build"])
@pytest.mark.parametrize("seed", range(10))
def test_nothing_stays_that_was_made_of_what_is_damaged(tmp_path, seed, found_by):
    """Damage that left no trace: what is built of it is wrong, until it is found."""
    store, actions = open_store(tmp_path / "cache"), chain(seed)
    right, place = sums(open_store(tmp_path / "right"), actions), random.Random(seed).randrange(len(actions) - 1)
    early = sums(store, actions[: place + 1])
    blob = Digest.of(early[-1])
    flip(store.path(blob), seed)
    store = open_store(store.root)
    store.verified.add(blob, stamp(store.path(blob).stat()))
    wrong = sums(store, actions)
    assert wrong[place] != right[place]
    if found_by == "fsck":
        derived = {damage.path.name for damage in fsck.check(store) if damage.derived}
        assert derived.isdisjoint(action.key for action in actions[: place + 1])
        assert fsck.check(store) == []
    else:
        os.utime(store.path(blob))  # as a copy of the folder would have it
        with pytest.raises(Missing):
            open_store(store.root).open(blob)
    assert sums(open_store(store.root), actions) == right
