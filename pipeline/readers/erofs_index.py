"""The index of a compressed erofs file, in full or compact form: where its extents are stored (kernel:
fs/erofs/zmap.c)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.ondisk import erofs as ondisk
from pipeline.ondisk.erofs import CBLKCNT, NONHEAD, PLAIN
from pipeline.readers import StructureError
from pipeline.readers.view import View

BIG = ondisk.BIG_PCLUSTER_1 | ondisk.BIG_PCLUSTER_2
ELSEWHERE = ondisk.INLINE_PCLUSTER | ondisk.FRAGMENT_PCLUSTER | ondisk.INTERLACED_PCLUSTER
LARGEST = 64 << 20
"""Bytes of an index: that of a file of 32 GiB."""


class Cluster(NamedTuple):
    """A logical cluster: the extent that starts in it, at `offset`, is stored at block `start`; or its number of
    `blocks`."""

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
    """Returns the extents of a file of `size` bytes, whose map header is at `at` (a multiple of 8).

    block: bytes of a block. StructureError for other algorithms than LZ4, and for files that are partly stored
    elsewhere.
    """
    header = ondisk.MAP_HEADER.unpack(view.read(at, ondisk.MAP_HEADER.size))
    advice, bits = header.h_advise, header.h_clusterbits
    if header.h_algorithmtype & 15 != ondisk.LZ4 or advice & ELSEWHERE or bits >> 3:
        raise StructureError("a compressed file with another algorithm or form")
    cluster = block << (bits & 7)
    count = -(-size // cluster)
    if count * 8 > LARGEST:
        raise StructureError("an index of that size")
    if compact:
        rows = _compact(view, at + ondisk.MAP_HEADER.size, count, advice, cluster)
    else:
        rows = _full(view, at + ondisk.FULL_INDEX, count)
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
    for advice, offset, value in ondisk.LCLUSTER.struct.iter_unpack(view.read(at, count * 8)):
        if advice & 3 == NONHEAD:
            yield Cluster(NONHEAD, 0, 0, value & (CBLKCNT - 1) if value & CBLKCNT else 0)
        else:
            yield Cluster(advice & 3, offset, value)


def _compact(view: View, at: int, count: int, advice: int, cluster: int) -> Iterator[Cluster]:
    """Packs of 2 clusters (8 bytes) up to a multiple of 32; then, where advised, of 16 (32 bytes); then of 2 again."""
    first = min(count, (32 - at % 32) // 4 % 8)
    wide = (count - first) // 16 * 16 if advice & ondisk.COMPACTED_2B else 0
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
            blocks = offset & ~CBLKCNT if big and offset & CBLKCNT else 0
            yield Cluster(NONHEAD, 0, 0, blocks)
            if blocks:
                start += blocks - counted
            counted = 0
