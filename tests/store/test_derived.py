"""What may be made of a damaged blob is dropped with it."""

from pipeline.engine.action import Action
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.store import derived

VERSION = 1


def source(store, *, text):
    return store.put_tree(files([("a", store.content(text.encode()))]))


def copy(store, below):
    return store.put_tree(files([("b", store.tree(below).file("a").content)]))


def size(store, below):
    return store.put_tree(files([("c", store.content(b"%d" % store.tree(below).file("a").size))]))


def test_records_that_follow_from_a_damaged_blob_are_dropped_and_others_stay(store):
    bad, good = (Action(text, source, {"text": text}) for text in ("bad", "good"))
    actions = [Action("copy", copy, {}, (bad,)), Action("size", size, {}, (bad,)), Action("other", size, {}, (good,))]
    for action in actions:
        action.perform(store)
    path = store.path(Digest.of(b"bad"))
    path.chmod(0o644)
    path.write_bytes(b"BAD")
    assert not derived.right(store, Digest.of(b"bad")) and derived.right(store, Digest.of(b"good"))
    dropped = derived.drop(store, [Digest.of(b"bad"), Digest.of(b"good")])
    names = {path.name for path in dropped}
    assert {actions[0].key, actions[1].key} <= names and actions[2].key not in names
    assert not path.exists() and store.recall(actions[2].key) is not None
    assert derived.drop(store, [Digest.of(b"bad")]) == []
