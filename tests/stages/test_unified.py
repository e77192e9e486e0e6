"""What an EFI program says of its node: the same out of the parts that may know as out of the whole root."""

import pytest

from pipeline.model.tree import Directory, File, Symlink, Tree, complete
from pipeline.stages import root, unified

RELEASE = "etc/os-release"
MODULES = "lib/modules/6.1.0"


def tree(store, **entries):
    return store.put_tree(complete(Tree(entries)).ordered())


def file(store, text):
    return File(0o644, 0, 0, 0, (), store.content(text.encode()))


def cases(store):
    """Parts that are laid over each other, the lowest first."""
    folder, one, two = Directory(0o755, 0, 0, 0), file(store, "one"), file(store, "two")
    below = {RELEASE: one, f"{MODULES}/kernel": folder, "bin/sh": two}
    yield "nothing", [{"bin/sh": two}]
    yield "one part", [below]
    yield "a later part wins", [below, {RELEASE: two, "lib/modules/5.0.0/x": one}]
    yield "the second place", [{"usr/lib/os-release": one, "usr/lib/modules/7/x": one}, {"etc/motd": one}]
    yield "the first place is a link", [{RELEASE: Symlink(0o777, 0, 0, 0, (), "../x"), "usr/lib/os-release": one}]
    yield "a directory was replaced", [below, {"etc": two}]
    yield "modules were replaced", [below, {"lib": Symlink(0o777, 0, 0, 0, (), "usr/lib"), "usr/lib/modules/8/x": two}]
    yield "it is empty", [{RELEASE: File(0o644, 0, 0, 0)}]


@pytest.mark.parametrize("number", range(8))
def test_the_release_is_that_of_the_root(store, number):
    name, layers = list(cases(store))[number]
    parts = [tree(store, **layer) for layer in layers]
    whole = root.rootfs(store, *parts, directories=[], epoch=0)
    cut = unified.release(store, *parts)
    assert unified._release(store, cut) == unified._release(store, whole), name
    assert unified._os_release(store, cut) == unified._os_release(store, whole), name
