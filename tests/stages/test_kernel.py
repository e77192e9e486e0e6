"""Kernel, command line and modules, taken from a kernel image."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, File
from pipeline.store import Store
from tests.stages.images import STAMP, text, tree_of
from tests.stages.test_golden import KERNEL, kernel_tree, modules_tar


class TestKernel:
    def given(self, store: Store, tmp_path: Path) -> Digest:
        tree = tree_of(store, "kernel", "kernel-headers.tar", "ucode.cpio", "vmlinuz")
        tree["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(modules_tar(tmp_path)))
        return store.put_tree(tree.ordered())

    def test_boot_and_modules(self, store: Store, tmp_path: Path) -> None:
        tree = store.tree(kernel_tree(store, self.given(store, tmp_path), **KERNEL))
        assert text(store, tree, "boot/cmdline") == "console=ttyS0"
        assert text(store, tree, "boot/kernel") == "kernel" and tree["boot/kernel"].mode == 0o755
        assert tree["boot/kernel"].mtime == tree["boot"].mtime == EPOCH
        assert text(store, tree, "lib/modules/6.1/x.ko") == "module" and tree["lib/modules/6.1/x.ko"].mtime == STAMP
        assert "boot/System.map" in tree and "boot/ucode.cpio" not in tree and "kernel-headers.tar" not in tree

    def test_everything_has_other_names(self, store: Store, tmp_path: Path) -> None:
        params = KERNEL | {"binary": "vmlinuz", "tar": "", "ucode": "ucode.cpio"}
        tree = store.tree(kernel_tree(store, self.given(store, tmp_path), **params))
        assert sorted(tree) == ["boot", "boot/cmdline", "boot/kernel", "boot/ucode.cpio"]
        assert text(store, tree, "boot/kernel") == "vmlinuz"

    @pytest.mark.parametrize(
        ("key", "name", "hint"),
        [
            ("binary", "kernels", "did you mean 'kernel'?"),
            ("tar", "zzz", "at its top it holds kernel, "),
            ("ucode", "ucode.cpi", "did you mean 'ucode.cpio'?"),
        ],
    )
    def test_a_file_that_is_missing_is_named(
        self, store: Store, tmp_path: Path, key: str, name: str, hint: str
    ) -> None:
        with pytest.raises(StageProblem, match=f"the kernel image has no file '{name}'") as caught:
            kernel_tree(store, self.given(store, tmp_path), **KERNEL | {key: name})
        assert caught.value.path == (key,) and hint in caught.value.hint

    def test_modules_are_chosen_among_those_of_the_tar(self, store: Store, tmp_path: Path) -> None:
        tree = tree_of(store, "kernel")
        out = io.BytesIO()
        tarfile.open(fileobj=out, mode="w").close()
        tree["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(out.getvalue()))
        given = store.put_tree(tree.ordered())
        with pytest.raises(StageProblem, match="the kernel image has no modules") as caught:
            kernel_tree(store, given, **KERNEL | {"modules": ["virtio_net"]})
        assert caught.value.path == ("modules",)
        assert "boot/kernel" in store.tree(kernel_tree(store, given, **KERNEL | {"modules": []}))
