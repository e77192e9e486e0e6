"""Laws of trees."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import (
    Device,
    Directory,
    File,
    Slice,
    Symlink,
    Tree,
    below,
    complete,
    cut,
    joined,
    length,
    overlay,
    parents,
    split,
)

BLOBS = [Digest.of(bytes([number])) for number in range(3)]
names = st.text(string.ascii_lowercase[:3], min_size=1, max_size=1)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
slices = st.builds(Slice, st.sampled_from([*BLOBS, None]), st.integers(0, 50), st.integers(1, 50)).map(
    lambda piece: piece if piece.blob else piece._replace(offset=0)
)
contents = st.lists(slices, max_size=4).map(tuple)
meta = (st.integers(0, 0o7777), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(-10, 2**33))
xattrs = st.lists(st.tuples(names, st.binary(max_size=3)), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
entries = st.one_of(
    st.builds(Directory, *meta, xattrs),
    st.builds(File, *meta, xattrs, contents),
    st.builds(Symlink, *meta, xattrs, paths),
    st.builds(Device, *meta, xattrs, st.sampled_from("cbp"), st.integers(0, 4095), st.integers(0, 4095)),
)


def consistent(mapping: dict) -> Tree:
    """`mapping` as a complete tree: nothing below what is no directory."""
    tree = Tree()
    for path, entry in mapping.items():
        tree = complete(overlay(tree, {path: entry}))
    return tree


some_trees = st.dictionaries(paths, entries, max_size=8).map(consistent)


directories = st.builds(Directory, *meta)
leaves = st.builds(File, *meta, xattrs, contents)
steady_trees = st.tuples(
    st.dictionaries(paths, directories, max_size=5), st.dictionaries(paths.map("{}/leaf".format), leaves, max_size=5)
).map(lambda pair: consistent(pair[0] | pair[1]))


@given(steady_trees, steady_trees, steady_trees)
def test_overlay_is_associative_where_no_directory_turns_into_something_else(first, second, third):
    assert overlay(overlay(first, second), third) == overlay(first, overlay(second, third))


@given(some_trees)
def test_a_file_of_a_tree_is_found_by_its_path_and_nothing_else_is(tree):
    assert tree.files() == {path: entry for path, entry in tree.items() if type(entry) is File}
    for path in [*tree, "not/there"]:
        assert tree.get_file(path) == tree.files().get(path)
        if path in tree.files():
            assert tree.file(path) == tree[path]
        else:
            with pytest.raises(KeyError, match=path):
                tree.file(path)


def linked(tree: Tree, groups: list[str]) -> Tree:
    """`tree` with its files in hard-link groups."""
    names = [path for path, entry in tree.items() if type(entry) is File]
    shared = {path: link(group) for path, group in zip(names, groups, strict=False)}
    return Tree(tree | shared).ordered()


linked_trees = st.builds(linked, some_trees, st.lists(st.sampled_from(["", "one", "two"]), max_size=8))


@given(linked_trees, st.lists(linked_trees, max_size=4))
def test_laying_several_at_once_is_laying_one_after_another(lower, uppers):
    tree = lower
    for upper in uppers:
        tree = complete(overlay(tree, upper))
    assert complete(overlay(lower, *uppers)) == tree


@given(some_trees)
def test_the_empty_tree_is_neutral(tree):
    assert overlay(tree, Tree()) == overlay(Tree(), tree) == tree == overlay(tree, tree)


@given(some_trees, some_trees)
def test_nothing_stands_below_what_is_no_directory(lower, upper):
    tree = overlay(lower, upper)
    for path in tree:
        for above in parents(path):
            assert type(tree.get(above, Directory(0, 0, 0, 0))) is Directory
    assert all(tree[path] == entry for path, entry in upper.items())


@given(some_trees)
def test_a_completed_tree_has_every_parent_and_the_same_entries(tree):
    completed = complete(tree)
    assert all(above in completed for path in completed for above in parents(path))
    assert {path: completed[path] for path in tree} == tree
    assert complete(completed) == completed


@given(some_trees)
def test_below_moves_every_path(tree):
    assert {path.removeprefix("top/"): entry for path, entry in below("top", tree).items()} == tree


@given(contents, st.data())
def test_cut_takes_exactly_the_asked_bytes(content, data):
    def expand(pieces):
        return [(blob, offset + i if blob else 0) for blob, offset, size in pieces for i in range(size)]

    start = data.draw(st.integers(0, length(content)))
    count = data.draw(st.integers(0, length(content) - start))
    assert expand(cut(content, start, count)) == expand(content)[start : start + count]


def link(inode: str) -> File:
    return File(0o644, 0, 0, 0, (), (), inode)


def test_hard_links_are_named_by_their_least_path_and_lonely_ones_are_plain():
    tree = overlay(Tree(b=link("b"), c=link("b"), d=link("b")), Tree(b=link("")))
    assert [tree[path].inode for path in "bcd"] == ["", "c", "c"]
    assert overlay(tree, Tree(c=link("")))["d"].inode == ""


def test_equal_names_of_link_groups_in_two_trees_stay_two_groups():
    tree = overlay(Tree(a=link("a"), z=link("a")), Tree(a=link("a"), y=link("a")))
    assert tree["a"].inode == tree["y"].inode == "a"
    assert tree["z"].inode == ""


def test_link_groups_of_one_name_in_three_trees_stay_three_groups():
    first, second, third = (Tree(a=link("a")) | {name: link("a")} for name in "zyx")
    tree = overlay(first, second, third)
    assert [tree[name].inode for name in "axyz"] == ["a", "a", "", ""]


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7))
def test_split_gives_pieces_of_one_size(sizes, size):
    blob = Digest.of(b"a")
    content = tuple(Slice(blob, 7, count) if count % 2 else Slice(None, 0, count) for count in sizes)
    pieces = list(split(content, size))
    assert [length(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert pieces == [cut(content, at, min(size, sum(sizes) - at)) for at in range(0, sum(sizes), size)]
    whole = joined(pieces)
    assert list(split(whole, size)) == pieces
    assert len(whole) <= len(content)


@given(st.sets(st.text("abc/é\udc80", min_size=1, max_size=8), max_size=40), st.sampled_from([1, 3, 8]))
def test_sections_are_the_tree_cut(paths, size):
    tree = Tree((path, Directory(0o755, 0, 0, 0)) for path in sorted(paths))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "SECTION", size)
        found = list(trees.sections(tree))
    assert [item for section in found for item in section.items()] == list(tree.items())
    assert all(size <= len(section) <= 2 * size for section in found[:-1])
    assert all(found)
