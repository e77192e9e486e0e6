"""Roots that the kernel verifies while it reads them (dm-verity), and the command line that binds them.

Root hash, number of blocks, salt and reaction stand on the command line, which a signature covers; the superblock on
the disk is for other tools. The salt follows from the node's name alone, so that the trees of two versions differ only
where their roots do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from pipeline.container import cmdline
from pipeline.incremental import compress_blocks
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, length
from pipeline.stages.boot_partition import required_file
from pipeline.stages.direct_boot import direct_boot, with_words
from pipeline.store import Store
from pipeline.writers import verity

VERSION = f"1 {verity.VERSION}"
PANIC_SECONDS = 10
"""Seconds after which a kernel that panics restarts the machine, where the spec's line has no panic=. Without it a
kernel whose CONFIG_PANIC_TIMEOUT is 0, as Debian's, stops for ever."""


class Verified(NamedTuple):
    """A root file system and its hash tree."""

    content: Content
    """The root, in whole blocks."""
    tree: Content
    """Superblock and hash tree."""
    root: verity.Root


def verified(store: Store, content: Content, name: str) -> Verified:
    """Returns the root file system `content` of the node `name` with its hash tree."""
    pad = -length(content) % verity.BLOCK
    padded = (*content, Slice(None, 0, pad)) if pad else content
    salt = hashlib.sha256(f"nodekiln verity {name}".encode()).digest()
    hash_all = partial(compress_blocks, store, f"verity {VERSION} {salt.hex()}", verity.hash_groups(salt))
    out = store.rope()
    root = verity.write(padded, salt, hash_all, store.read, out)
    return Verified(padded, out.finish(), root)


def words(root: verity.Root, mode: str, partition: object = "") -> str:
    """Returns the words of the command line that images/init/mount-root reads.

    mode: reaction to a damaged block. partition: PARTUUID of the tree; "" if it follows the root on the same device.
    """
    fields = (mode, str(root.blocks), root.salt.hex(), *([str(partition)] if partition else []))
    return f"roothash={root.hash.hex()} nodekiln.verity={':'.join(fields)}"


def bound(store: Store, kernel: Digest, added: str) -> Digest:
    """Returns the tree `kernel` with `added` and, unless there is one, panic= at the end of its command line."""
    line = store.bytes(required_file(store, kernel, "cmdline")).decode().strip()
    if not any(word.startswith("panic=") for word in line.split()):
        added += f" panic={PANIC_SECONDS}"
    cmdline.KERNEL.check(f"{line} {added}")
    return with_words(store, kernel, added)


def root_and_tree(store: Store, kernel: Digest, suffix: str, content: Content, options: Mapping[str, str]) -> Digest:
    """Returns the files for a direct boot, with the root `content` as the file `suffix`.

    options: those of a format. With `verity`, its hash tree follows the root in the same file, and the command line
    binds it.
    """
    if "verity" not in options:
        return direct_boot(store, kernel, suffix, content)
    made = verified(store, content, options["name"])
    started = bound(store, kernel, words(made.root, options["verity"]))
    return direct_boot(store, started, suffix, made.content + made.tree)
