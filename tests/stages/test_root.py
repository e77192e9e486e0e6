"""Components laid over each other: cut to the entries that win, they are the same root."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.tree import Directory, File, Tree, complete, overlay
from pipeline.stages import root
from pipeline.store import Store

paths = st.sampled_from(["a", "a/b", "a/c", "d", "d/e"])
kinds = st.sampled_from([File(0o644, 0, 0, 1), File(0o600, 0, 0, 2), Directory(0o755, 0, 0, 3)])
trees = st.dictionaries(paths, kinds, max_size=4).map(
    lambda entries: complete(
        Tree((path, entry) for path, entry in entries.items() if type(entries.get(path.rpartition("/")[0])) is not File)
    )
)


@settings(max_examples=60, deadline=None)
@given(st.lists(trees, min_size=1, max_size=4))
def test_the_selected_entries_are_those_of_the_root(tmp_path_factory, layers):
    store = Store(tmp_path_factory.getbasetemp() / "root")
    parts = [store.put_tree(layer) for layer in layers]
    cut = root.partition_overlay(store, *parts, directories=[], epoch=0)
    selected = [store.tree(root.select(store, cut, number=number)) for number in range(len(parts))]
    whole = store.tree(root.rootfs(store, *parts, directories=[], epoch=0))
    merged = Tree()
    for each in selected:
        merged = overlay(merged, each)
    assert complete(merged, mtime=0) == whole
    files = [path for each in selected for path, entry in each.items() if type(entry) is File]
    assert len(files) == len(set(files))


def test_a_bundle_is_its_image_and_the_rest(store):
    entries = ["x/rootfs/bin", "x/lower/a", "x/config.json", "x/tmp", "other"]
    part = store.put_tree(complete(Tree((path, File(0o644, 0, 0, 0)) for path in entries)))
    image = store.tree(root.bundle_image(store, part, prefix="x"))
    rest = store.tree(root.bundle_metadata(store, part, prefix="x"))
    assert image.keys() | rest.keys() == store.tree(part).keys()
    assert {"x/rootfs/bin", "x/lower/a"} <= image.keys() and "x/config.json" in rest and "x/config.json" not in image
