"""The root of the init images: what must be there, and joined package lists."""

from __future__ import annotations

from pipeline.model.tree import EPOCH, Directory, Symlink, Tree
from pipeline.stages import root_image
from pipeline.store import Store
from tests.stages.images import text, tree_of


class TestRootImage:
    def test_what_must_be_there_is(self, store: Store) -> None:
        tree = root_image.root_image(store, Tree(), EPOCH)
        assert set(tree) == {
            "dev", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"
        }  # fmt: skip
        assert (len(text(store, tree, "etc/hosts")), len(text(store, tree, "etc/resolv.conf"))) == (160, 29)
        assert tree["etc/mtab"] == Symlink(0o755, 0, 0, EPOCH, (), "/proc/mounts")

    def test_what_an_image_has_of_it_is_replaced(self, store: Store) -> None:
        given = tree_of(
            store,
            "etc/",
            "dev/console c 5 1",
            "dev/pts/",
            "dev/null c 1 3",
            "etc/hostname",
            "etc/hosts = x",
            ".dockerenv",
            "Dockerfile",
            "sub/Dockerfile",
        )
        tree = root_image.root_image(store, given, EPOCH, root_image.RESOLVER)
        assert not {"dev/console", "etc/hostname", ".dockerenv", "Dockerfile"} & set(tree)
        assert {"dev/null", "sub/Dockerfile"} <= set(tree)
        assert tree["etc"] == tree["dev/pts"] == Directory(0o755, 0, 0, EPOCH)
        assert tree["etc/resolv.conf"] == Symlink(0o644, 0, 0, EPOCH, (), "/run/resolvconf/resolv.conf")
        assert text(store, tree, "etc/hosts").startswith("127.0.0.1 ")

    def test_an_images_own_mtab_stays(self, store: Store) -> None:
        tree = root_image.root_image(store, tree_of(store, "etc/mtab -> ../proc/self/mounts"), EPOCH)
        assert tree["etc/mtab"] == Symlink(0o777, 0, 0, EPOCH, (), "../proc/self/mounts")

    def test_a_link_where_a_directory_must_be_is_replaced(self, store: Store) -> None:
        tree = root_image.root_image(store, tree_of(store, "etc -> usr/etc", "usr/etc/passwd"), EPOCH)
        assert type(tree["etc"]) is Directory and "usr/etc/passwd" in tree

    def test_package_lists_are_joined(self, store: Store) -> None:
        one, two, none = (
            store.put_tree(tree_of(store, *paths))
            for paths in (("lib/apk/db/installed = P:a\n",), ("lib/apk/db/installed = P:b\n",), ("bin/x",))
        )
        joined = store.tree(root_image.packages(store, one, none, two, epoch=EPOCH))
        assert text(store, joined, "lib/apk/db/installed") == "P:a\n\n\nP:b\n\n\n"
        assert store.tree(root_image.packages(store, one, none, epoch=EPOCH)) == {}
