"""Chooses the default compression of an initrd: the first that the kernel can unpack.

The kernel's configuration lists them (CONFIG_RD_ZSTD, CONFIG_RD_GZIP; usr/Kconfig). It is a file beside the kernel, as
in distributions, or part of it (CONFIG_IKCONFIG, as in LinuxKit's kernels).
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
"""Maximum size of a configuration, in bytes: a distribution's has 300 kB."""
LARGEST_KERNEL = 128 << 20
"""Maximum size of a kernel that is searched, in bytes: a distribution's has 15 MB, and it is unpacked in memory."""


def compression(store: Store, image: Digest, *, binary: str, choices: list[str]) -> Digest:
    """Returns Tree {"compression": File} with the first of `choices` that the kernel in `image` can unpack, or `none`.

    binary: the kernel's path. choices: such as `zstd:9`, `gzip:6`; the first if there is no configuration.
    """
    config = kernel_config(store, store.tree(image), binary.removeprefix("/"))
    able = {name.lower() for name in re.findall("^CONFIG_RD_([A-Z0-9]+)=y$", config, re.MULTILINE)}
    chosen = next((choice for choice in choices if not config or compress.parse(choice).name in able), "none")
    return store.put_tree(only(NAME, store.content(chosen.encode())))


def choice(store: Store, chosen: Digest) -> str:
    """Returns the choice of a result of `compression`."""
    return store.bytes(store.tree(chosen).file(NAME).content).decode()


def kernel_config(store: Store, image: Tree, binary: str) -> str:
    """Returns the configuration of the kernel at `binary` in an image; "" if there is none."""
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
