"""Blobs that a result refers to."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Slice, files
from pipeline.store.references import damage, is_tree, named, references


def test_a_tree_refers_to_its_contents(store):
    one, two = store.put(b"one"), store.put(b"two")
    tree = store.put_tree(files([("a", (Slice(one, 0, 3), Slice(None, 0, 5))), ("b", (Slice(two, 1, 1),))]))
    assert is_tree(store, tree) and not is_tree(store, one)
    assert references(store, tree) == {tree, one, two} and references(store, one) == {one}
    store.path(two).unlink()
    assert references(store, tree, missing=True) == {two}


def test_a_manifest_refers_to_its_config_and_layers(store):
    blobs = [store.put(b"%d" % number) for number in range(3)]
    pointers = [{"digest": blob, "size": 1} for blob in blobs]
    manifest = store.put(json.dumps({"config": pointers[0], "layers": pointers[1:]}).encode())
    assert references(store, manifest) == {manifest, *blobs}


@given(
    st.binary(max_size=60)
    | st.text(st.sampled_from('{}[]":,adigest'), max_size=40).map(lambda text: b"{" + text.encode())
)
def test_any_bytes_are_a_result(data):
    assert isinstance(named(io.BytesIO(data)), list)


def test_damaged_references_are_removed(store):
    blob = store.put(b"x" * 100)
    tree = store.put_tree(files([("a", (Slice(blob, 0, 100),))]))
    path = store.path(blob)
    path.chmod(0o644)
    path.write_bytes(b"y" * 100)
    assert damage(store, [tree]) == {blob} and not store.has(blob)
