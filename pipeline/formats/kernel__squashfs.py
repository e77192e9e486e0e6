"""kernel+squashfs: the kernel, its command line, and the root file system as a compressed, read-only disk."""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress
from pipeline.formats import Firmware, Format
from pipeline.incremental import FILES_CHUNK, compress_blocks
from pipeline.model.digest import Digest
from pipeline.model.tree import outside
from pipeline.stages import verity
from pipeline.stages.carried import warn_of
from pipeline.store import Store
from pipeline.writers import squashdata, squashfs

PACKED = f"{squashfs.VERSION} {compress.VERSION}"
VERSION = f"{PACKED} verity-{verity.VERSION}"


def build(store: Store, kernel: Digest, rootfs: Digest, **options: str) -> Digest:
    """Tree {"-kernel", "-cmdline", "-squashfs.img"}; what is below boot/ is not in the file system.

    compress: `zstd[:level]` or `gzip[:level]`. verity: reaction to a damaged block; a hash tree follows the root.
    """
    chosen = compress.parse(options.get("compress", "zstd"))
    block = compress.block_compressor(chosen)
    make = partial(
        compress_blocks,
        store,
        f"squashfs {PACKED} {chosen}",
        partial(squashdata.compress_blocks, block),
        chunk=FILES_CHUNK,
    )
    tree = outside("boot", store.tree(rootfs))
    warn_of(squashfs.CARRIED, tree)
    body = store.rope()
    superblock = squashfs.write(tree, store.read, body, squashfs.Packing(chosen.name, block, make))
    return verity.root_and_tree(store, kernel, "-squashfs.img", store.content(superblock) + body.finish(), options)


FORMAT = Format(
    "kernel+squashfs", build, needs=("kernel", "rootfs"), options=("compress", "name", "verity"),
    produces=("-kernel", "-cmdline", "-squashfs.img"), firmware=Firmware.DIRECT, carried=squashfs.CARRIED,
    largest_file=squashfs.LARGEST_FILE,
)  # fmt: skip
