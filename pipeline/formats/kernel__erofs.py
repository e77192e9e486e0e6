"""kernel+erofs: the kernel, its command line, and the root file system as a read-only erofs.

Compressed with LZ4, the only algorithm of erofs that every kernel has: `compress` says how well, in the levels of zstd
or gzip up to 12. `none` stores files as they are, which takes less time to make, and to read.
"""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress
from pipeline.formats import Firmware, Format
from pipeline.incremental import FILES_CHUNK, compress_blocks, one_by_one
from pipeline.model.digest import Digest
from pipeline.model.tree import Compress, outside
from pipeline.stages.direct_boot import direct_boot
from pipeline.store import Store
from pipeline.writers import erofs, erofsdata, erofsmeta

VERSION = f"{erofs.VERSION} lz4-{compress.LZ4}"
HIGHEST = 12
"""LZ4's best level."""


def build(store: Store, kernel: Digest, rootfs: Digest, **options: str) -> Digest:
    """Tree {"-kernel", "-cmdline", "-erofs.img"}; what is below boot/ is not in the file system.

    compress: `zstd[:level]` or `gzip[:level]` for LZ4 of that level, `none` for files as they are.
    """
    chosen = compress.parse(options.get("compress", "zstd"))
    packing = None if chosen.name == "none" else _packing(store, min(chosen.level, HIGHEST))
    tree = outside("boot", store.tree(rootfs))
    body = store.rope()
    first = erofs.write(tree, store.read, body, packing)
    return direct_boot(store, kernel, "-erofs.img", store.content(first) + body.finish())


def _packing(store: Store, level: int) -> Compress:
    work = one_by_one(partial(erofsdata.compress_extent, compress.lz4(level)))
    return partial(compress_blocks, store, f"erofs {VERSION} {level}", work, chunk=FILES_CHUNK)


FORMAT = Format(
    "kernel+erofs", build, needs=("kernel", "rootfs"), options=("compress",),
    produces=("-kernel", "-cmdline", "-erofs.img"), firmware=Firmware.DIRECT, carried=erofsmeta.CARRIED,
    largest_file=erofs.LARGEST_FILE,
)  # fmt: skip
