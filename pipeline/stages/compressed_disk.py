"""A disk image as a `.zst` or `.gz` file, which `zstd -d` and `gzip -d` unpack.

A run of data becomes one zstd frame, or gzip members, which are stored where the data is compressed already. A hole
becomes ready-made frames of zeros by reference, at next to no cost. Tools unpack such a sequence as one stream (RFC
8878, 3.1; RFC 1952, 2.2). No byte depends on the number of threads, or on memoised members.
"""

from __future__ import annotations

from functools import cache, partial

from pipeline.compression import compress as compression
from pipeline.incremental import compress_blocks, one_by_one
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Sink, Slice, files, length, split
from pipeline.stages import diskimage
from pipeline.store import Store
from pipeline.writers import store_or_deflate
from pipeline.writers.extents import allocated

VERSION = f"3 {compression.VERSION} deflated-{store_or_deflate.VERSION}"
GRAIN = 1 << 20
"""Smallest hole, in bytes, and its alignment; others are compressed with the data around them."""
HOLE = 64 << 20
"""Size of a ready-made hole, in bytes."""
MEMBER = 2 << 20
"""Bytes of the disk in a gzip member."""


def zst(store: Store, image: Digest, *, compress: str = "zstd") -> Digest:
    """Returns Tree {suffix + ".zst"} of the one file in `image`. compress: its level is used if it is zstd's."""
    return _compressed(store, image, ".zst", _chosen(compress, "zstd"))


def gz(store: Store, image: Digest, *, compress: str = "gzip") -> Digest:
    """Returns Tree {suffix + ".gz"} of the one file in `image`. compress: its level is used if it is gzip's."""
    return _compressed(store, image, ".gz", _chosen(compress, "gzip"))


def _chosen(requested: str, name: str) -> compression.Compression:
    chosen = compression.parse(requested)
    return chosen if chosen.name == name else compression.parse(name)


def _compressed(store: Store, image: Digest, ending: str, chosen: compression.Compression) -> Digest:
    suffix, content = diskimage.disk(store, image)
    out, position = store.rope(), 0
    hole = cache(partial(_hole, store, chosen))

    def zeros(count: int) -> None:
        for size in (*[HOLE] * (count // HOLE), count % HOLE):
            out.extend(hole(size) if size else ())

    for run, data in allocated(content, GRAIN):
        zeros(run.first * GRAIN - position)
        _compress(store, chosen, data, out)
        position = run.first * GRAIN + length(data)
    zeros(length(content) - position)
    return store.put_tree(files([(suffix + ending, out.finish())]))


def _hole(store: Store, chosen: compression.Compression, size: int) -> Content:
    """Returns `size` zeros, compressed, as one blob, so that a large hole has few slices."""
    packed, out = store.rope(), store.rope()
    _compress(store, chosen, (Slice(None, 0, size),), packed)
    for data in store.read(packed.finish()):
        out.write(data)
    return out.finish()


def _compress(store: Store, chosen: compression.Compression, content: Content, out: Sink) -> None:
    """Writes `content` as one frame (zstd), or as members (gzip)."""
    if chosen.name == "zstd":
        with compression.compressor(chosen, length(content), out, store.read) as sink:
            sink.extend(content)
        return

    member = one_by_one(partial(store_or_deflate.gzip_member, compression.gzip(chosen.level)))
    for piece in compress_blocks(store, f"{chosen} {VERSION}", member, split(content, MEMBER)):
        out.extend((piece,))
