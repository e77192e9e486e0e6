"""Files for direct kernel boot, as in QEMU or Firecracker: the kernel, its command line, and the root beside them."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Tree, files
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store

NAMES = ("kernel", "cmdline")


def direct_boot(store: Store, kernel: Digest, suffix: str, root: Content) -> Digest:
    """Returns Tree {"-kernel", "-cmdline", `suffix`: `root`}. kernel: its tree; without one, only `suffix`."""
    tree = store.tree(kernel)
    beside = [(f"-{name}", file.content) for name in NAMES if (file := tree.get_file(name))]
    return store.put_tree(files([*beside, (suffix, root)]))


def with_words(store: Store, kernel: Digest, words: str) -> Digest:
    """Returns the tree `kernel` with `words` at the end of its command line. FormatError without a kernel."""
    tree = store.tree(kernel)
    line = store.bytes(required_file(store, kernel, "cmdline")).strip() + b" " + words.encode()
    return store.put_tree(Tree({**tree, "cmdline": tree.file("cmdline")._replace(content=store.content(line))}))
