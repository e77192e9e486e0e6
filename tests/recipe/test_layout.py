"""One layout for the packages of all suites: files of /bin, /sbin and /lib are below usr/."""

from __future__ import annotations

import pytest

from pipeline.model.tree import Directory, File, Symlink, Tree
from pipeline.recipe.layout import merged, merged_tree

FILE = File(0o644, 0, 0, 1)
FOLDER = Directory(0o755, 0, 0, 1)


def link(target: str) -> Symlink:
    return Symlink(0o777, 0, 0, 1, (), target)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("bin/sh", "usr/bin/sh"),
        ("lib/**/libc.so.*", "usr/lib/**/libc.so.*"),
        ("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
        ("bin", "bin"),
        ("usr/bin/sh", "usr/bin/sh"),
        ("etc/bin/sh", "etc/bin/sh"),
        ("binary/sh", "binary/sh"),
    ],
)
def test_the_place_of_a_path(path: str, place: str) -> None:
    assert merged(path) == place


@pytest.mark.parametrize(
    ("path", "target", "place", "text"),
    [
        ("bin/sh", "dash", "usr/bin/sh", "dash"),
        ("bin/sh", "/bin/dash", "usr/bin/sh", "/usr/bin/dash"),
        ("bin/awk", "/etc/alternatives/awk", "usr/bin/awk", "/etc/alternatives/awk"),
        ("bin/awk", "../usr/bin/gawk", "usr/bin/awk", "gawk"),
        ("sbin/x", "../etc/x", "usr/sbin/x", "../../etc/x"),
        ("usr/bin/x", "../../bin/y", "usr/bin/x", "y"),
        ("usr/lib/x/libz.so", "/lib/x/libz.so.1", "usr/lib/x/libz.so", "/usr/lib/x/libz.so.1"),
        ("usr/bin/x", "../../etc/y", "usr/bin/x", "../../etc/y"),
        ("usr/bin/x", "./y", "usr/bin/x", "./y"),
        ("bin", "usr/bin", "bin", "usr/bin"),
    ],
)
def test_a_link_leads_where_it_led(path: str, target: str, place: str, text: str) -> None:
    assert merged_tree(Tree({path: link(target)}))[place] == link(text)


def test_folders_and_hard_links_move_with_their_files() -> None:
    pair = FILE._replace(inode="bin/a")
    tree = Tree({"bin": FOLDER, "bin/a": pair, "bin/b": pair, "usr": FOLDER, "usr/bin": FOLDER._replace(mtime=2)})
    moved = merged_tree(tree)
    assert list(moved) == ["usr", "usr/bin", "usr/bin/a", "usr/bin/b"]
    assert moved["usr/bin"].mtime == 2
    assert moved["usr/bin/a"] == moved["usr/bin/b"] == FILE._replace(inode="usr/bin/a")
    assert merged_tree(moved) == moved


def test_a_package_of_a_merged_suite_stays_as_it_is() -> None:
    tree = Tree({"bin": link("usr/bin"), "usr": FOLDER, "usr/bin": FOLDER, "usr/bin/sh": link("dash")})
    assert merged_tree(tree) == tree
