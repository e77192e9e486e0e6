"""qcow2 disk images (version 3), without copying what they hold: clusters of the disk are taken by reference.

Source: docs/interop/qcow2.txt of QEMU. The file is: header, L1 table, refcount table, refcount blocks, L2 tables,
data. Clusters that are all hole are not allocated.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from pipeline.model.tree import Content, Sink, length
from pipeline.ondisk import qcow2 as ondisk
from pipeline.writers import disk
from pipeline.writers.extents import Run, allocated, runs, to_bytes

VERSION = 1
CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
"""64 KiB, as qemu-img makes them."""
ENTRIES = CLUSTER // 8
"""Entries of an L1, L2 or refcount table."""
COUNTS = CLUSTER // 2
"""Entries of a refcount block: 16 bits each."""
LARGEST = ondisk.LARGEST_L1 // 8 * ENTRIES * CLUSTER
"""Maximum size of a disk, in bytes: 2 PiB, as QEMU reads an L1 table of LARGEST_L1 at most."""


class Areas(NamedTuple):
    """Number of clusters of each area, in the order of the file."""

    first: int
    references: int
    blocks: int
    seconds: int
    data: int

    @property
    def total(self) -> int:
        return 1 + sum(self)


def write(content: Content, out: Sink) -> None:
    """Writes the raw disk `content` (a multiple of 512 bytes) as an image of the same size. FormatError for more than
    LARGEST."""
    disk.check(content, LARGEST, "a qcow2 image")
    found = runs(content, CLUSTER)
    tables = sorted({index for run in found for index in range(run.first // ENTRIES, (run.end - 1) // ENTRIES + 1)})
    entries = -(-length(content) // (CLUSTER * ENTRIES))
    layout = _layout(entries, len(tables), sum(run.blocks for run in found))

    second = 1 + layout.first + layout.references + layout.blocks
    references = (1 + layout.first) * CLUSTER
    out.write(header(length(content), (CLUSTER, entries), (references, layout.references)))
    first_table = array("Q", bytes(8 * entries))
    for number, index in enumerate(tables):
        first_table[index] = (second + number) * CLUSTER | ondisk.COPIED
    clusters(out, to_bytes(first_table, "big"))
    blocks = 1 + layout.first + layout.references
    clusters(out, to_bytes(array("Q", range(blocks * CLUSTER, second * CLUSTER, CLUSTER)), "big"))
    clusters(out, b"\0\1" * layout.total)
    _second_tables(out, found, tables, second + layout.seconds)
    for _, data in allocated(content, CLUSTER):
        out.extend(data)
        out.zeros(-length(data) % CLUSTER)


def _layout(entries: int, tables: int, data: int) -> Areas:
    """The areas' sizes: refcount blocks count themselves and their table too."""
    first = max(1, -(-entries // ENTRIES))
    references = blocks = 1
    while True:
        layout = Areas(first, references, blocks, tables, data)
        needed = -(-layout.total // COUNTS)
        if needed <= blocks <= references * ENTRIES:
            return layout
        blocks = max(needed, blocks)
        references = -(-blocks // ENTRIES)


def header(size: int, first: tuple[int, int], references: tuple[int, int], compression: int = 0) -> bytes:
    """The first cluster of the image of a disk of `size` bytes.

    first: the L1 table's place and its number of entries. references: the refcount table's, and its number of clusters.
    """
    return ondisk.HEADER.pack(
        cluster_bits=CLUSTER_BITS, size=size, l1_size=first[1], l1_table_offset=first[0], refcount_order=4,
        refcount_table_offset=references[0], refcount_table_clusters=references[1], compression_type=compression,
        incompatible_features=ondisk.COMPRESSION_TYPE if compression else 0,
        header_length=ondisk.HEADER.size if compression else ondisk.SIZE_3,
    ).ljust(CLUSTER, b"\0")  # fmt: skip


def _second_tables(out: Sink, found: list[Run], tables: list[int], data: int) -> None:
    """The L2 tables: where each allocated cluster of the disk is in the file, whose data area starts at `data`."""
    filled = {index: array("Q", bytes(CLUSTER)) for index in tables}
    for run in found:
        for cluster in range(run.first, run.end):
            filled[cluster // ENTRIES][cluster % ENTRIES] = data * CLUSTER | ondisk.COPIED
            data += 1
    for index in tables:
        out.write(to_bytes(filled[index], "big"))


def clusters(out: Sink, data: bytes) -> None:
    """Writes `data` in whole clusters."""
    out.write(data)
    out.zeros(-len(data) % CLUSTER)
