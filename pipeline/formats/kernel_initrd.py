"""kernel+initrd: the kernel, the initial RAM disk and the command line as files, for whatever boots them directly."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.stages.handed import handed
from pipeline.store import Store

NAME = "kernel+initrd"
VERSION = 1
NEEDS = ("kernel", "initrd")
OPTIONS = ()
SUFFIXES = ("-kernel", "-initrd.img", "-cmdline")


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-kernel", "-cmdline", "-initrd.img"}; a node without a kernel has the last alone."""
    return handed(store, kernel, "-initrd.img", store.tree(initrd).file("initrd.img").content)
