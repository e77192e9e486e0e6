"""Patterns of paths, and what they select."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Directory, Entry, File, Tree, complete, parents
from pipeline.recipe.globs import expression, matching, selected, unmatched


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("usr/*", ["usr/bin", "usr/"], ["usr/bin/x", "usr", "var/x"]),
        ("usr/**", ["usr/bin", "usr/bin/x"], ["usr", "usrx"]),
        ("**/libc.so.*", ["libc.so.6", "lib/libc.so.6", "a/b/libc.so.6"], ["lib/xlibc.so.6", "libc.so"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/bz", "az"]),
        ("a**z", ["az", "a/z", "abz"], ["a"]),
        ("?.[ch]", ["x.c", "y.h"], ["xx.c", "x.o", "/.c"]),
        ("[!a]x", ["bx"], ["ax", "/x"]),
        ("a[]b", ["a[]b"], ["ab"]),
        ("[^x]", ["^", "x"], ["a"]),
        ("usr/{sbin/x,lib/x-*}", ["usr/sbin/x", "usr/lib/x-y"], ["usr/x", "usr/lib/x"]),
        ("{a}{b", ["{a}{b"], ["ab"]),
        ("a.b+", ["a.b+"], ["axb+", "a.bb"]),
        ("a\nb*", ["a\nb\n"], []),
    ],
)
def test_patterns(glob: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes + no if expression(glob).fullmatch(path)] == yes


names = st.sampled_from(["a", "b", "lib", "x.so.1"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
globs = st.lists(st.sampled_from(["a", "*", "**", "lib", "*.so.*"]), min_size=1, max_size=4).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: dict[str, Entry] = {}
    for path in draw(st.sets(paths)):
        if not any(above in tree and type(tree[above]) is File for above in parents(path)):
            tree[path] = draw(st.sampled_from([File(0o644, 0, 0, 0), Directory(0o755, 0, 0, 0)]))
    kept = {path: entry for path, entry in tree.items() if not any(type(tree.get(up)) is File for up in parents(path))}
    return complete(Tree(kept).ordered())


@given(trees())
def test_without_patterns_everything_is_selected(tree: Tree) -> None:
    assert selected(tree, (), ()) == tree
    assert selected(tree, ("**",), ()) == tree
    assert selected(tree, (), ("**",)) == {}


@given(trees(), st.lists(globs, max_size=3), st.lists(globs, max_size=3))
def test_a_selection_is_a_whole_tree_of_what_was_there(tree: Tree, keep: list[str], drop: list[str]) -> None:
    result = selected(tree, keep, drop)
    assert result.items() <= tree.items()
    assert list(result) == sorted(result)
    assert all(above in result for path in result for above in parents(path))


@given(trees(), st.lists(globs, max_size=3), st.lists(globs, max_size=3))
def test_a_file_is_selected_if_it_or_what_it_lies_in_is_kept_and_not_dropped(
    tree: Tree, keep: list[str], drop: list[str]
) -> None:
    def taken(path: str, by: list[str]) -> bool:
        return any(expression(glob).fullmatch(each) for glob in by for each in (path, *parents(path)))

    files = {path for path, entry in tree.items() if type(entry) is File}
    expected = {path for path in files if (not keep or taken(path, keep)) and not taken(path, drop)}
    assert {path for path, entry in selected(tree, keep, drop).items() if type(entry) is File} == expected


@given(trees(), st.lists(globs, max_size=3))
def test_directories_that_are_emptied_go(tree: Tree, drop: list[str]) -> None:
    result = selected(tree, (), drop)
    for path, entry in result.items():
        if type(entry) is Directory and any(each.startswith(path + "/") for each in tree):
            assert any(each.startswith(path + "/") for each in result)


@given(st.lists(globs, max_size=4), st.lists(paths, max_size=6))
def test_patterns_without_a_match_are_found(patterns: list[str], among: list[str]) -> None:
    assert unmatched(patterns, among) == [n for n, glob in enumerate(patterns) if not matching(among, [glob])]
