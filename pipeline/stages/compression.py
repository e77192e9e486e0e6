"""How initrds are compressed where a spec does not say: as the kernel says that it can unpack them.

A kernel's configuration tells (CONFIG_RD_ZSTD, CONFIG_RD_GZIP; usr/Kconfig of the kernel). It stands beside the kernel,
as distributions have it, or in it (CONFIG_IKCONFIG, as LinuxKit's kernels have it).
"""

from __future__ import annotations

import re

from pipeline.compression import compress
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree, only
from pipeline.store import Store

VERSION = 2
NAME = "compression"
LARGEST_CONFIG = 4 << 20
"""Bytes of a file that may be a configuration: a distribution's has 300 kB."""
LARGEST_KERNEL = 128 << 20
"""Bytes of a kernel that is looked into: a distribution's has 15 MB, and it is unpacked in memory."""


def compression(store: Store, image: Digest, *, binary: str, choices: list[str]) -> Digest:
    """Tree {"compression": File}: the first of `choices` that the kernel in `image` can unpack, `none` if it can none.

    binary: the kernel's path. choices: `zstd:9`, `gzip:6`, the first of which counts if no configuration is found.
    """
    config = _config(store, store.tree(image), binary.removeprefix("/"))
    able = {name.lower() for name in re.findall("^CONFIG_RD_([A-Z0-9]+)=y$", config, re.MULTILINE)}
    chosen = next((each for each in choices if not config or compress.parse(each).name in able), "none")
    return store.put_tree(only(NAME, store.content(chosen.encode())))


def choice(store: Store, chosen: Digest) -> str:
    """What `compression` chose."""
    return store.bytes(store.tree(chosen).file(NAME).content).decode()


def _config(store: Store, image: Tree, binary: str) -> str:
    """The kernel's configuration, "" if it is not to be found."""
    import zlib

    from pipeline.kernel import boot_files
    from pipeline.readers import DAMAGED
    from pipeline.readers.view import BytesView

    for path, entry in image.files().items():
        if boot_files.CONFIG.fullmatch(path) and entry.size <= LARGEST_CONFIG:
            return store.bytes(entry.content).decode("utf-8", "replace")
    kernel = image.get_file(binary)
    if kernel is None or kernel.size > LARGEST_KERNEL:
        return ""
    try:
        return boot_files.config(BytesView(store.bytes(kernel.content, LARGEST_KERNEL)))
    except (*DAMAGED, zlib.error):
        return ""
