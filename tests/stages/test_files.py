"""Files of a spec, laid over what is below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import host_digests
from pipeline.language.problem import StageProblem
from pipeline.model.tree import EPOCH, Directory, Symlink, Tree
from pipeline.stages import files
from pipeline.store import Store
from tests.stages.images import text, tree_of
from tests.stages.test_golden import Json, entry


def laid(store: Store, *entries: Json, below: tuple[Tree, ...] = (), **params: Any) -> Tree:
    trees = [store.put_tree(tree) for tree in below]
    return store.tree(
        files.files(store, *trees, entries=list(entries), **{"ids": {}, "known": [], "epoch": EPOCH} | params)
    )


class TestFiles:
    def test_a_file_a_directory_a_link(self, store: Store) -> None:
        tree = laid(
            store, entry("a", contents="x", mode=0o640, uid=5, gid=6), entry("d", kind="directory", mode=0o700),
            entry("l", kind="symlink", target="/a"),
        )  # fmt: skip
        assert text(store, tree, "a") == "x" and tree["a"][:4] == (0o640, 5, 6, EPOCH)
        assert tree["d"] == Directory(0o700, 0, 0, EPOCH)
        assert tree["l"] == Symlink(0o600, 0, 0, EPOCH, (), "/a")

    @pytest.mark.parametrize(
        ("mode", "above"), [(0o600, 0o700), (0o644, 0o755), (0o440, 0o550), (0o000, 0o000), (0o4620, 0o4730)]
    )
    def test_directories_on_the_way_can_be_entered(self, store: Store, mode: int, above: int) -> None:
        tree = laid(store, entry("a/b/c", mode=mode, uid=7))
        assert tree["a"] == tree["a/b"] == Directory(above, 7, 0, EPOCH)

    def test_a_directory_that_is_there_is_left_alone(self, store: Store) -> None:
        below = tree_of(store, "etc/", "usr/etc -> /etc")
        tree = laid(store, entry("etc/new/x"), entry("usr/etc/y"), below=(below,))
        assert "etc" not in tree and "etc/new" in tree
        assert type(tree["usr/etc"]) is Directory, "a link is no directory: like LinuxKit's, ours replaces it"
        assert tree_like_linuxkit(store, below)["etc"] == Directory(0o700, 0, 0, EPOCH)

    def test_what_lies_on_top_decides(self, store: Store) -> None:
        lower, upper = tree_of(store, "a/"), tree_of(store, "a -> b")
        assert "a" in laid(store, entry("a/x"), below=(lower, upper))
        assert "a" not in laid(store, entry("a/x"), below=(upper, lower))

    def test_a_directory_that_is_said_is_made_as_it_is_said(self, store: Store) -> None:
        said = entry("etc", kind="directory", mode=0o711)
        assert laid(store, entry("etc/x"), said, below=(tree_of(store, "etc/"),))["etc"].mode == 0o711
        assert laid(store, said, entry("etc/x"))["etc"].mode == 0o711

    def test_the_later_of_two_is_there(self, store: Store) -> None:
        assert text(store, laid(store, entry("a", contents="1"), entry("a", contents="2")), "a") == "2"

    def test_names_of_owners(self, store: Store) -> None:
        below = tree_of(store, "etc/passwd = web:x:33:44::/:", "etc/group = www:x:55:")
        tree = laid(
            store, entry("a", uid="web", gid="www"), entry("b", uid="s", gid="root"), below=(below,), ids={"s": 101}
        )
        assert tree["a"][1:3] == (33, 55) and tree["b"][1:3] == (101, 0)
        with pytest.raises(
            StageProblem, match="'wep' is neither a container of this spec nor in the root's /etc/passwd"
        ) as caught:
            laid(store, entry("a", uid="wep"), below=(below,))
        assert caught.value.path == (3, "uid") and "did you mean 'web'" in caught.value.hint

    def test_a_source_is_copied_if_it_is_what_was_planned(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"data" * 1000)
        found = files.find_source("f", tmp_path)
        assert found == str(tmp_path / "f")
        said = entry("a", kind="source", source=found, sha256=host_digests.sha256(Path(found)))
        assert text(store, laid(store, said), "a") == "data" * 1000
        (tmp_path / "f").write_bytes(b"other")
        with pytest.raises(StageProblem, match="has changed while it was built") as caught:
            laid(store, said)
        assert caught.value.path == (3, "source")
        (tmp_path / "f").unlink()
        with pytest.raises(StageProblem, match="cannot be read: No such file"):
            laid(store, said)

    def test_where_sources_are_looked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("specs/both", "both", "only-here", "home/mine"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        specs = Path("specs")
        assert files.find_source("both", specs) == "specs/both"
        assert files.find_source("only-here", specs) == "only-here"
        assert files.find_source("~/mine", specs) == "~/mine" and host_digests.sha256(Path("~/mine").expanduser())
        assert files.find_source("none", specs) is None
        assert files.find_source("specs", specs) is None, "a folder is no file"


def tree_like_linuxkit(store: Store, below: Tree) -> Tree:
    return laid(store, entry("etc/new/x"), below=(below,), linuxkit=True)
