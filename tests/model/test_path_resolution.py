"""Paths and names, as a process inside of an image finds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.path_resolution import BelowMount, follow, resolve
from pipeline.model.tree import Directory, File, Symlink, Tree, complete


def tree(**links):
    entries = {"bin/sh": File(0o755, 0, 0, 0), "var/lib/x": File(0o644, 0, 0, 0)}
    return complete(Tree(entries | {path: Symlink(0o777, 0, 0, 0, (), to) for path, to in links.items()}))


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/bin/sh", "bin/sh"), ("bin//./sh", "bin/sh"), ("usr/sh", "bin/sh"), ("/usr/../bin/sh", "bin/sh"),
        ("../../bin/sh", "bin/sh"), ("up/lib/x", "var/lib/x"), ("loop/a", None), ("bin/sh/x", None), ("nothing", None),
        ("/", ""),
    ],
)  # fmt: skip
def test_a_path_leads_through_links_and_never_out(path, expected):
    assert resolve(tree(usr="bin", up="/../../var", loop="loop"), path) == expected


@given(st.lists(st.sampled_from(["..", ".", "bin", "usr", "sh", "etc", ""]), max_size=8))
def test_no_path_leaves_the_tree(steps):
    found = resolve(tree(usr="../../bin", etc="/.."), "/".join(steps))
    assert found is None or not found.startswith(("/", ".."))


def test_below_a_mount_nothing_is_known():
    with pytest.raises(BelowMount):
        resolve(tree(usr="var/lib"), "usr/x", ["var/lib"])
    assert resolve(tree(), "var/lib/x", ["var/lib/x/y"]) == "var/lib/x"


def test_the_root_is_a_directory():
    assert type(follow(Tree(), "/")) is Directory and follow(Tree(), "/x") is None
