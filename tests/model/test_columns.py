"""Laws of the bytes that name a tree."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import Entry, File, Tree, files
from pipeline.store import Store
from pipeline.store.references import is_tree, references
from tests.model.test_tree import BLOBS, consistent, entries, linked

names = st.text(st.sampled_from("ab\0\n\udcff\u20ac"), min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
plain = st.dictionaries(paths, entries, max_size=8).map(consistent)
trees = st.builds(linked, plain, st.lists(st.sampled_from(["", "one", "two"]), max_size=8))


def kinds(tree: Tree) -> list[type[Entry]]:
    return [type(entry) for entry in tree.values()]


@given(trees)
def test_dump_then_load_gives_the_same_tree(tree):
    found = columns.load(columns.dump(tree))
    assert found == tree
    assert list(found) == sorted(tree)
    assert kinds(found) == kinds(tree)  # tuples are equal whatever they are named


@given(trees, trees)
def test_other_trees_have_other_names(tree, other):
    assume((tree, kinds(tree)) != (other, kinds(other)))
    assert columns.named(tree) != columns.named(other)
    assert columns.named(tree, "how") not in (columns.named(tree), columns.named(other, "how"))


@given(trees)
def test_the_blobs_are_listed_first(tree):
    used = {piece.blob for entry in tree.values() if type(entry) is File for piece in entry.content if piece.blob}
    data = columns.dump(tree)
    assert data.startswith(columns.START)
    assert set(json.loads(data[len(columns.START) : data.index(b"]") + 1])) == used


def test_a_tree_of_an_earlier_version_refers_to_nothing(tmp_path):
    """Its records are no longer asked for, so that what it named may go."""
    store = Store(tmp_path)
    old = store.put(b'{"tree":1,"blobs":["%s"],"entries":[]}' % BLOBS[0].encode())
    assert not is_tree(store, old)
    assert references(store, old) == {old}
    new = store.put_tree(files([("file", store.content(b"bytes"))]))
    assert references(store, new) == {new, Digest.of(b"bytes")}
