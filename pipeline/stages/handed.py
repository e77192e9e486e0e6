"""What is handed to something that boots a kernel by itself: the kernel, its command line, and the root beside them."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, files
from pipeline.store import Store

NAMES = ("kernel", "cmdline")


def handed(store: Store, kernel: Digest, suffix: str, root: Content) -> Digest:
    """Tree {"-kernel", "-cmdline", `suffix`: `root`}. kernel: what boots; a node without one has the last alone."""
    found = store.tree(kernel)
    beside = [(f"-{name}", file.content) for name in NAMES if (file := found.get_file(name))]
    return store.put_tree(files([*beside, (suffix, root)]))
