"""qcow2 disk images whose clusters are compressed with zstd, each by itself, as `qemu-img convert -c` makes them.

Source: docs/interop/qcow2.txt of QEMU: "Compressed Clusters Descriptor", and the compression type of the header, which
QEMU knows since 5.1. The file is: header, compressed clusters (at any byte), the others, L2 tables, L1 table, refcount
blocks, refcount table. Sizes are only known once all is compressed, so the header comes last and is put in front by the
caller. Clusters that become no smaller stay as they are, and are taken by reference.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import partial

from pipeline.inorder import InOrder
from pipeline.tree import Content, Read, Sink, cut, length
from pipeline.writers.extents import held, words
from pipeline.writers.qcow2 import CLUSTER, CLUSTER_BITS, COPIED, COUNTS, ENTRIES, ZSTD, clusters, header

VERSION = 1
SECTOR = 512
COMPRESSED = 1 << 62
SECTORS_AT = 62 - (CLUSTER_BITS - 8)
"""Bit of a compressed cluster's descriptor where the number of its sectors starts; its place is below."""
ZEROS = bytes(CLUSTER)


class Image:
    """What is known of the image while it is written to `body`, which starts behind the header's cluster."""

    def __init__(self, body: Sink) -> None:
        self.body = body
        self.tables: dict[int, array[int]] = {}
        """The L2 tables, by number."""
        self.counts = array("H", [1])
        """How often each cluster of the file is referred to; the first is the header's."""

    @property
    def place(self) -> int:
        return CLUSTER + self.body.tell()

    def refer(self, number: int, entry: int) -> None:
        table = self.tables.setdefault(number // ENTRIES, array("Q", bytes(CLUSTER)))
        table[number % ENTRIES] = entry

    def add_packed(self, number: int, data: bytes) -> None:
        """A compressed cluster, at whatever byte is next. It refers to every cluster that its sectors touch."""
        place = self.place
        sectors = (place % SECTOR + len(data) - 1) // SECTOR
        self.refer(number, COMPRESSED | sectors << SECTORS_AT | place)
        self.body.write(data)
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
        clusters(self.body, words(table, "big"))
        self.align()
        return place


def write(content: Content, read: Read, body: Sink, pack: Callable[[bytes], bytes]) -> bytes:
    """Write the raw disk `content` (a multiple of 512 bytes) as an image of the same size, compressed by `pack` (zstd).

    `body` gets all but the first cluster, which is returned.
    """
    image, plain = Image(body), []

    def take(number: int, piece: Content, packed: bytes) -> None:
        if len(packed) <= CLUSTER - SECTOR:
            image.add_packed(number, packed)
        else:
            plain.append((number, piece))

    with InOrder(pack) as work:
        for number, piece, data in _clusters(content, read):
            work.submit(data, partial(take, number, piece))
    for number, piece in plain:
        image.refer(number, image.add(piece) | COPIED)
    first = array("Q", bytes(8 * -(-length(content) // (CLUSTER * ENTRIES))))
    for index in sorted(image.tables):
        first[index] = image.add_table(image.tables[index]) | COPIED
    place = image.add_table(first)
    return header(length(content), (place, len(first)), _references(image), ZSTD)


def _clusters(content: Content, read: Read) -> Iterator[tuple[int, Content, bytes]]:
    """The clusters of the disk that are not all zeros: number, content, bytes."""
    for run, pieces in held(content, CLUSTER):
        size = length(pieces)
        for offset in range(0, size, CLUSTER):
            piece = cut(pieces, offset, min(CLUSTER, size - offset))
            data = b"".join(read(piece)).ljust(CLUSTER, b"\0")
            if data != ZEROS:
                yield run.first + offset // CLUSTER, piece, data


def _references(image: Image) -> tuple[int, int]:
    """Write the refcount blocks and their table, which count themselves too: the table's place, and its clusters."""
    used = len(image.counts)
    blocks = table = 1
    while blocks < (wanted := -(-(used + blocks + table) // COUNTS)) or table * ENTRIES < blocks:
        blocks = max(wanted, blocks)
        table = -(-blocks // ENTRIES)
    image.counts.extend([1] * (blocks + table))
    start = image.add_table(array("H", image.counts))
    place = image.add_table(array("Q", range(start, start + blocks * CLUSTER, CLUSTER)))
    return place, table
