"""qcow2 disk images whose clusters are compressed with zstd, each by itself, as `qemu-img convert -c` makes them.

Source: docs/interop/qcow2.txt of QEMU: "Compressed Clusters Descriptor", and the compression type of the header, which
QEMU knows since 5.1. The file is: header, compressed clusters (at any byte), the others, L2 tables, L1 table, refcount
blocks, refcount table. Sizes are only known once all is compressed, so the header comes last and is put in front by the
caller. Clusters that become no smaller stay as they are, and are taken by reference.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from pipeline.model.tree import Compress, Content, Sink, Slice, Transform, length, split
from pipeline.ondisk import qcow2 as ondisk
from pipeline.writers import disk
from pipeline.writers.extents import allocated, to_bytes
from pipeline.writers.qcow2 import CLUSTER, CLUSTER_BITS, COUNTS, ENTRIES, LARGEST, clusters, header

VERSION = 2
SECTOR = 512
PLAIN = b"\0"
"""Marks a cluster that would not become smaller: no frame is as short."""


class _CompressedImage:
    """An image that is being written to `body`, which starts after the header's cluster."""

    def __init__(self, body: Sink) -> None:
        self.body = body
        self.tables: dict[int, array[int]] = {}
        """The L2 tables, by number."""
        self.counts = array("H", [1])
        """References to each cluster of the file; the first is the header's."""

    @property
    def place(self) -> int:
        return CLUSTER + self.body.tell()

    def refer(self, number: int, entry: int) -> None:
        table = self.tables.setdefault(number // ENTRIES, array("Q", bytes(CLUSTER)))
        table[number % ENTRIES] = entry

    def add_compressed(self, number: int, frame: Slice) -> None:
        """A compressed cluster, at whatever byte is next. It refers to every cluster that its sectors touch."""
        place = self.place
        sectors = (place % SECTOR + frame.length - 1) // SECTOR
        self.refer(number, ondisk.COMPRESSED | sectors << ondisk.sectors_at(CLUSTER_BITS) | place)
        self.body.extend((frame,))
        last = (place // SECTOR + sectors) * SECTOR // CLUSTER
        self.counts.extend([0] * (last + 1 - len(self.counts)))
        for cluster in range(place // CLUSTER, last + 1):
            self.counts[cluster] += 1

    def add(self, content: Content) -> int:
        """`content` in whole clusters of its own; the place where it starts."""
        self.align()
        place = self.place
        self.body.extend(content)
        self.align()
        return place

    def align(self) -> None:
        self.body.zeros(-self.body.tell() % CLUSTER)
        self.counts.extend([1] * (self.place // CLUSTER - len(self.counts)))

    def add_table(self, table: array[int]) -> int:
        """A table, big-endian, in whole clusters; the place where it starts."""
        self.align()
        place = self.place
        clusters(self.body, to_bytes(table, "big"))
        self.align()
        return place


def write(content: Content, pack: Compress, body: Sink) -> bytes:
    """Writes the raw disk `content` (a multiple of 512 bytes) as an image of the same size. FormatError for more than
    LARGEST.

    pack: compresses clusters with `compress_clusters`, in order. body: takes all but the first cluster, which is
    returned.
    """
    disk.check(content, LARGEST, "a qcow2 image")
    image = _CompressedImage(body)
    plain: list[tuple[int, Content]] = []
    for (number, piece), cluster in zip(
        _clusters(content), pack(piece for _, piece in _clusters(content)), strict=True
    ):
        if cluster.length == len(PLAIN):
            plain.append((number, piece))
        elif cluster.length:
            image.add_compressed(number, cluster)
    for number, piece in plain:
        image.refer(number, image.add(piece) | ondisk.COPIED)
    first = array("Q", bytes(8 * -(-length(content) // (CLUSTER * ENTRIES))))
    for index in sorted(image.tables):
        first[index] = image.add_table(image.tables[index]) | ondisk.COPIED
    place = image.add_table(first)
    return header(length(content), (place, len(first)), _references(image), ondisk.ZSTD)


def compress_clusters(compress: Transform, raw: Sequence[bytes]) -> list[bytes | memoryview]:
    """Clusters, of which the disk's last may be short, as zstd frames, each, or PLAIN; of zeros nothing."""
    holes = [not data.strip(b"\0") for data in raw]
    results = iter(compress([data.ljust(CLUSTER, b"\0") for data, hole in zip(raw, holes, strict=True) if not hole]))
    frames = [b"" if hole else next(results) for hole in holes]
    return [frame if len(frame) <= CLUSTER - SECTOR else PLAIN for frame in frames]


def _clusters(content: Content) -> Iterator[tuple[int, Content]]:
    """Yields the clusters of the disk that are not holes, with their numbers."""
    for run, pieces in allocated(content, CLUSTER):
        yield from enumerate(split(pieces, CLUSTER), run.first)


def _references(image: _CompressedImage) -> tuple[int, int]:
    """Writes the refcount blocks and their table, which count themselves too: the table's place, and its clusters."""
    used = len(image.counts)
    blocks = table = 1
    while blocks < (wanted := -(-(used + blocks + table) // COUNTS)) or table * ENTRIES < blocks:
        blocks = max(wanted, blocks)
        table = -(-blocks // ENTRIES)
    image.counts.extend([1] * (blocks + table))
    start = image.add_table(array("H", image.counts))
    place = image.add_table(array("Q", range(start, start + blocks * CLUSTER, CLUSTER)))
    return place, table
