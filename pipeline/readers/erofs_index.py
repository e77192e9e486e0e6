"""Where the compressed bytes of an erofs file are: its index, in full or compact form (kernel: fs/erofs/zmap.c)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers import Unreadable
from pipeline.readers.view import View

COMPACT_2B, BIG, INLINE_TAIL, INTERLACED, FRAGMENT = 1, 2 | 4, 8, 16, 32
"""Advice in the map header."""
LZ4 = 0
PLAIN, HEAD, NONHEAD, HEAD2 = 0, 1, 2, 3
COUNT = 1 << 11
LARGEST = 64 << 20
"""Bytes of an index: that of a file of 32 GiB."""


class Cluster(NamedTuple):
    """A logical cluster: what starts in it, from `offset` on, at block `start`; or how many `blocks` it has."""

    kind: int
    offset: int
    start: int = 0
    blocks: int = 0


class Extent(NamedTuple):
    """A run of a file that is stored as a whole."""

    begin: int
    end: int
    start: int
    blocks: int
    packed: bool


def extents(view: View, at: int, size: int, block: int, compact: bool) -> list[Extent]:
    """The extents of a file of `size` bytes, whose map header stands at `at` (a multiple of 8).

    block: bytes of a block. Unreadable for other algorithms than LZ4, and for files that stand in part elsewhere.
    """
    _, _, advice, algorithms, bits = struct.unpack("<HHHBB", view.read(at, 8))
    if algorithms & 15 != LZ4 or advice & (INLINE_TAIL | FRAGMENT | INTERLACED) or bits >> 3:
        raise Unreadable("a compressed file with another algorithm or form")
    cluster = block << (bits & 7)
    count = -(-size // cluster)
    if count * 8 > LARGEST:
        raise Unreadable("an index of that size")
    rows = _compact(view, at + 8, count, advice, cluster) if compact else _full(view, at + 16, count)
    return list(_joined(list(rows), size, cluster, block))


def _joined(clusters: list[Cluster], size: int, cluster: int, block: int) -> Iterator[Extent]:
    heads = [(number, each) for number, each in enumerate(clusters) if each.kind != NONHEAD]
    begins = [number * cluster + each.offset for number, each in heads] + [size]
    for (number, each), begin, end in zip(heads, begins, begins[1:], strict=False):
        if begin >= end:  # says only where the last one ends
            continue
        following = clusters[number + 1] if number + 1 < len(clusters) else each
        blocks = cluster // block
        if each.kind != PLAIN and following.kind == NONHEAD and following.blocks:
            blocks = following.blocks
        yield Extent(begin, end, each.start, blocks, each.kind != PLAIN)


def _full(view: View, at: int, count: int) -> Iterator[Cluster]:
    for advice, offset, value in struct.iter_unpack("<HHI", view.read(at, count * 8)):
        if advice & 3 == NONHEAD:
            yield Cluster(NONHEAD, 0, 0, value & (COUNT - 1) if value & COUNT else 0)
        else:
            yield Cluster(advice & 3, offset, value)


def _compact(view: View, at: int, count: int, advice: int, cluster: int) -> Iterator[Cluster]:
    """Packs of 2 clusters (8 bytes) up to a multiple of 32; then, where advised, of 16 (32 bytes); then of 2 again."""
    first = min(count, (32 - at % 32) // 4 % 8)
    wide = (count - first) // 16 * 16 if advice & COMPACT_2B else 0
    for entries, size, number in ((2, 8, first), (16, 32, wide), (2, 8, count - first - wide)):
        for left in range(number, 0, -entries):
            yield from list(_pack(view.read(at, size), entries, bool(advice & BIG), cluster))[:left]
            at += size


def _pack(pack: bytes, entries: int, big: bool, cluster: int) -> Iterator[Cluster]:
    """A few bits for each cluster, and where the first extent that starts in the pack (or ends it) is."""
    bits, low = (len(pack) * 8 - 32) // entries, cluster.bit_length() - 1
    packed = int.from_bytes(pack[:-4], "little")
    (start,) = struct.unpack("<I", pack[-4:])
    start += not big
    counted = 0
    for number in range(entries):
        value = packed >> number * bits
        kind, offset = value >> low & 3, value & (cluster - 1)
        if kind != NONHEAD:
            yield Cluster(kind, offset, start)
            start, counted = start + 1, 1
        else:
            blocks = offset & ~COUNT if big and offset & COUNT else 0
            yield Cluster(NONHEAD, 0, 0, blocks)
            if blocks:
                start += blocks - counted
            counted = 0
