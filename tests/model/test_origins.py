"""Every path of a tree has one origin: that of the last to write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import origins
from pipeline.model.origins import MADE, Origin
from pipeline.model.tree import Directory, Entry, File, Symlink, Tree, complete, overlay

ONE, TWO, THREE = (Origin("deb", name, "1", "amd64") for name in ("one", "two", "three"))
FILE = File(0o644, 0, 0, 0)
FOLDER = Directory(0o755, 0, 0, 0)
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from([FILE, FOLDER, Symlink(0o777, 0, 0, 0, (), "a")]), max_size=6)


def grown(entries: dict[str, Entry]) -> Tree:
    """A tree of those `entries` that can be beside each other."""
    return overlay({}, *(complete({path: entry}) for path, entry in sorted(entries.items())))


@given(st.lists(TREES, max_size=4))
def test_each_path_of_trees_laid_over_each_other_has_the_origin_of_the_last_that_has_it(
    layers: list[dict[str, Entry]],
) -> None:
    trees = [grown(entries) for entries in layers]
    owners = [Origin("deb", str(number)) for number in range(len(trees))]
    root = overlay({}, *trees)
    whole = origins.laid({}, *(dict.fromkeys(tree, owner) for tree, owner in zip(trees, owners, strict=True)))
    found = origins.of_tree(root, whole)
    assert found.keys() == root.keys()
    assert all(path in trees[int(owner.name)] for path, owner in found.items())
    assert all(path not in tree for path, owner in found.items() for tree in trees[int(owner.name) + 1 :])


def test_an_entry_that_is_not_the_images_own_is_made_here() -> None:
    image = {"etc": FOLDER, "etc/hosts": FILE, "bin": FILE}
    tree = {"x": FOLDER, "x/etc": FOLDER, "x/etc/hosts": FILE._replace(mode=0o600), "x/bin": FILE._replace(inode="x/b")}
    known = dict.fromkeys(image, ONE)
    found = origins.inherited(tree, image, known, lambda path: path[2:] if path[1:2] else None)
    assert found == {"x": MADE, "x/etc": ONE, "x/etc/hosts": MADE, "x/bin": ONE}


def test_a_path_belongs_to_the_last_layer_that_has_it_and_an_implied_directory_to_the_first_that_has_it() -> None:
    implied = FOLDER._replace(mode=0o700)
    tree = {"a": FOLDER, "a/b": FILE, "a/c": FILE, "d": FOLDER}
    layers: list[tuple[Origin, dict[str, Entry]]] = [
        (ONE, {"a": FOLDER, "a/b": FILE._replace(mode=0), ".wh.x": FILE, "d": implied}),
        (TWO, {"a": implied, "a/b": FILE, "a/c": FILE}),
        (THREE, {"d": FOLDER, "gone": FILE}),
    ]
    assert origins.of_layers(tree, layers) == {"a": ONE, "a/b": TWO, "a/c": TWO, "d": THREE}


@given(st.dictionaries(st.text(max_size=8), st.sampled_from([ONE, TWO, MADE, ONE._replace(licenses=("Expat",))])))
def test_what_is_dumped_is_loaded(found: dict[str, Origin]) -> None:
    assert origins.load(origins.dump(found)) == found
    assert origins.dump(dict(reversed(found.items()))) == origins.dump(found)
