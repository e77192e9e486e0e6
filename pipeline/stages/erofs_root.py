"""The root file system as an erofs volume."""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress as compression
from pipeline.incremental import FILES_CHUNK, compress_blocks, one_by_one
from pipeline.model.digest import Digest
from pipeline.model.tree import Compress, Content, outside
from pipeline.store import Store
from pipeline.writers import erofs, erofsdata

VERSION = f"{erofs.VERSION} lz4-{compression.LZ4}"
HIGHEST = 12
"""LZ4's best level."""


def volume(store: Store, rootfs: Digest, compress: str) -> Content:
    """Returns `rootfs` as erofs, without what is below boot/.

    compress: `zstd[:level]` or `gzip[:level]` for LZ4 of that level, `none` for files as they are.
    """
    chosen = compression.parse(compress)
    packing = None if chosen.name == "none" else _packing(store, min(chosen.level, HIGHEST))
    body = store.rope()
    first = erofs.write(outside("boot", store.tree(rootfs)), store.read, body, packing)
    return store.content(first) + body.finish()


def _packing(store: Store, level: int) -> Compress:
    work = one_by_one(partial(erofsdata.compress_extent, compression.lz4(level)))
    return partial(compress_blocks, store, f"erofs {VERSION} {level}", work, chunk=FILES_CHUNK)
