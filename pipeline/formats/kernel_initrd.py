"""kernel+initrd: the kernel, the initial RAM disk and the command line as files, for whatever boots them directly."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.store import Store
from pipeline.tree import File, files

NAME = "kernel+initrd"
VERSION = 1
NEEDS = ("kernel", "initrd")
OPTIONS = ()
SUFFIXES = ("-kernel", "-initrd.img", "-cmdline")


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-kernel", "-cmdline", "-initrd.img"}; a node without a kernel has the last alone."""
    found = {**store.tree(kernel), **store.tree(initrd)}
    outputs = [("-" + path, found.get(path)) for path in ("kernel", "cmdline", "initrd.img")]
    return store.put_tree(files((suffix, entry.content) for suffix, entry in outputs if type(entry) is File))
