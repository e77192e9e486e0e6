"""A disk image as a `.zst` or `.gz` file, as people hand disks around; `zstd -d` and `gzip -d` give the disk back.

A stretch of data becomes a zstd frame of its own, or a row of gzip members, which are stored where it is compressed
already; a hole becomes ready-made frames of zeros, which are taken by reference, so that it costs next to nothing
whatever its size. Every tool unpacks such a row as one stream (RFC 8878, 3.1; RFC 1952, 2.2). No byte depends on how
many threads there were, or on which members were made before.
"""

from __future__ import annotations

from functools import cache, partial

from pipeline.compression import compress as compression
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Sink, Slice, files, length, split
from pipeline.stages import diskimage, pieces
from pipeline.store import Store
from pipeline.writers import store_or_deflate
from pipeline.writers.extents import allocated

VERSION = f"3 {compression.VERSION} deflated-{store_or_deflate.VERSION}"
GRAIN = 1 << 20
"""A hole of less than this, or not at a multiple of it, is packed with the data around it."""
HOLE = 64 << 20
"""Bytes of a ready-made hole."""
MEMBER = 2 << 20
"""Bytes of the disk in a gzip member."""


def zst(store: Store, image: Digest, *, compress: str = "zstd") -> Digest:
    """Tree {suffix + ".zst"}: the one file that `image` holds. compress: its level counts if it is zstd's."""
    return _packed(store, image, ".zst", _chosen(compress, "zstd"))


def gz(store: Store, image: Digest, *, compress: str = "gzip") -> Digest:
    """Tree {suffix + ".gz"}: the one file that `image` holds. compress: its level counts if it is gzip's."""
    return _packed(store, image, ".gz", _chosen(compress, "gzip"))


def _chosen(asked: str, name: str) -> compression.Compression:
    chosen = compression.parse(asked)
    return chosen if chosen.name == name else compression.parse(name)


def _packed(store: Store, image: Digest, ending: str, chosen: compression.Compression) -> Digest:
    suffix, content = diskimage.disk(store, image)
    out, position = store.rope(), 0
    hole = cache(partial(_hole, store, chosen))

    def zeros(count: int) -> None:
        for size in (*[HOLE] * (count // HOLE), count % HOLE):
            out.extend(hole(size) if size else ())

    for run, data in allocated(content, GRAIN):
        zeros(run.first * GRAIN - position)
        _pack(store, chosen, data, out)
        position = run.first * GRAIN + length(data)
    zeros(length(content) - position)
    return store.put_tree(files([(suffix + ending, out.finish())]))


def _hole(store: Store, chosen: compression.Compression, size: int) -> Content:
    """So many zeros, packed: one blob, so that a large hole is few slices."""
    packed, out = store.rope(), store.rope()
    _pack(store, chosen, (Slice(None, 0, size),), packed)
    for data in store.read(packed.finish()):
        out.write(data)
    return out.finish()


def _pack(store: Store, chosen: compression.Compression, content: Content, out: Sink) -> None:
    """`content` as one frame (zstd), or as members (gzip)."""
    if chosen.name == "zstd":
        with compression.compressor(chosen, length(content), out, store.read) as sink:
            sink.extend(content)
        return

    member = pieces.each(partial(store_or_deflate.gzip_member, compression.gzip(chosen.level)))
    for made in pieces.packed(store, f"{chosen} {VERSION}", member, split(content, MEMBER)):
        out.extend((made,))
