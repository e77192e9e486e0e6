"""tar-kernel-initrd: what kernel+initrd gives, in one archive."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import Tree, files
from pipeline.store import Store
from pipeline.writers import tar

NAME = "tar-kernel-initrd"
VERSION = tar.VERSION
NEEDS = ("kernel", "initrd")
OPTIONS = ()
SUFFIXES = ("-initrd.tar",)
MEMBERS = ("cmdline", "initrd.img", "kernel", "ucode.cpio")


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-initrd.tar"}: kernel, cmdline, initrd.img and, if there is any, the microcode by itself (ucode.cpio)."""
    found = {**store.tree(kernel).files(), **store.tree(initrd).files()}
    members = Tree((path, found[path]) for path in MEMBERS if path in found)
    out = store.rope()
    tar.write(members, out)
    return store.put_tree(files([("-initrd.tar", out.finish())]))
