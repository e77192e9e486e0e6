"""Paths and names, as a process inside of an image finds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container.lookup import Mounted, follow, names_of, resolve, resolver
from pipeline.language.problem import StageProblem
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
    with pytest.raises(Mounted):
        resolve(tree(usr="var/lib"), "usr/x", ["var/lib"])
    assert resolve(tree(), "var/lib/x", ["var/lib/x/y"]) == "var/lib/x"


def test_the_root_is_a_directory():
    assert type(follow(Tree(), "/")) is Directory and follow(Tree(), "/x") is None


def test_names_are_those_of_the_database(store):
    text = "root:x:0:0::/root:/bin/sh\nbad line\nbig:x:99999999999:\nweb:x:33:\nweb:x:34:\n"
    root = complete(Tree({"etc/passwd": File(0o644, 0, 0, 0, (), store.content(text.encode()))}))
    assert names_of(store, root, "etc/passwd") == {"root": 0, "web": 33}
    assert names_of(store, root, "etc/group") == {}
    find = resolver(store, root, {"web": 100})
    assert find("root", "passwd", ("uid",)) == 0 and find("web", "passwd", ("uid",)) == 100
    with pytest.raises(StageProblem, match=r"'roo' is neither a container .*did you mean 'root'"):
        find("roo", "passwd", ("uid",))
    with pytest.raises(StageProblem, match="without quotes: 33"):
        find("33", "passwd", ("uid",))
