"""kernel+squashfs: the kernel, its command line, and the root file system as a compressed, read-only disk."""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress
from pipeline.model.digest import Digest
from pipeline.model.tree import File, files, outside
from pipeline.stages import pieces
from pipeline.stages.carried import warn_of
from pipeline.store import Store
from pipeline.writers import squashdata, squashfs

NAME = "kernel+squashfs"
VERSION = f"{squashfs.VERSION} {compress.VERSION}"
NEEDS = ("kernel", "rootfs")
OPTIONS = ("compress",)
SUFFIXES = ("-squashfs.img",)
LARGEST_FILE = squashfs.LARGEST_FILE
CARRIED = squashfs.CARRIED


def build(store: Store, kernel: Digest, rootfs: Digest, **options: str) -> Digest:
    """Tree {"-kernel", "-cmdline", "-squashfs.img"}; what is below boot/ is not in the file system.

    compress: `zstd[:level]` or `gzip[:level]`.
    """
    chosen = compress.parse(options.get("compress", "zstd"))
    block = compress.block_compressor(chosen)
    make = partial(
        pieces.packed, store, f"squashfs {VERSION} {chosen}", partial(squashdata.packed, block), part=pieces.FILES
    )
    tree = outside("boot", store.tree(rootfs))
    warn_of(CARRIED, tree)
    body = store.rope()
    superblock = squashfs.write(tree, store.read, body, squashfs.Packing(chosen.name, block, make))
    found = {path: entry for path, entry in store.tree(kernel).items() if path in ("kernel", "cmdline")}
    outputs = [("-" + path, entry.content) for path, entry in found.items() if type(entry) is File]
    return store.put_tree(files([*outputs, ("-squashfs.img", store.content(superblock) + body.finish())]))
