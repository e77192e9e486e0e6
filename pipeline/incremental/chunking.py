"""Compresses the blocks of a large content, each block once: a change of a node compresses what changed.

Consecutive blocks are grouped into chunks. The compressed blocks of a chunk are stored as one blob; a memo records the
blob and the block sizes. A chunk ends where its blocks' slices decide it, not after so many blocks (content-defined
chunking, as in rsync and casync): chunks realign behind something that was inserted or removed.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.compression.ordered_pool import OrderedThreadPool
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Transform, grouped, length
from pipeline.store import Store

CHUNK = 1 << 20
"""Smallest size of a chunk, in bytes; it has at most twice as many."""
FILES_CHUNK = 4 << 20
"""Smallest size of a chunk of the files of a root, which become smaller: each chunk is a file of the store."""
ENDS = 4
"""A chunk of at least CHUNK bytes ends at a block whose slices have a CRC-32 that is a multiple of this."""
AHEAD = 8 << 20
"""Maximum size of the blocks that wait for a thread, in bytes."""
BATCH = 1 << 20
"""Least size of the blocks that a thread gets at once, in bytes. With one block at a time, waiting for the lock of the
interpreter took a tenth of a squashfs' time at level 4; with many more, the last batch would be waited for."""

Block = tuple[bytes, Content]
"""Some bytes, and the content behind them."""


def one_by_one(transform: Callable[[bytes], bytes]) -> Transform:
    """Returns a `Transform` that calls `transform` for each block."""
    return lambda blocks: list(map(transform, blocks))


def compress_blocks(
    store: Store, name: str, transform: Transform, blocks: Iterable[Content], *, chunk: int = CHUNK
) -> Iterator[Slice]:
    """Yields what `transform` makes of each of `blocks`, in order.

    name: identifies `transform`. chunk: smallest size of a chunk, in bytes.
    """
    return compress_headed_blocks(store, name, transform, ((b"", block) for block in blocks), chunk=chunk)


def compress_headed_blocks(
    store: Store, name: str, transform: Transform, blocks: Iterable[Block], *, chunk: int = CHUNK
) -> Iterator[Slice]:
    """Yields what `transform` makes of blocks with some bytes, the same number in each, in front of their content."""
    waiting: deque[_Chunk] = deque()
    with OrderedThreadPool(transform) as threads:
        for identity, some in _chunks(blocks, chunk):
            waiting.append(compressed := _Chunk(store, f"{name} {Digest.of(identity)}", len(some)))
            for batch in () if compressed.done else grouped(some, _size, BATCH):
                data = [head + store.bytes(content) for head, content in batch]
                threads.submit(data, compressed.take)
                threads.drain(AHEAD // max(sum(map(len, data)), BATCH))
            while waiting and waiting[0].done:
                yield from waiting.popleft().slices()
        threads.drain()
    for compressed in waiting:
        yield from compressed.slices()


class _Chunk:
    """The compressed blocks of a chunk, once there are `count` of them."""

    def __init__(self, store: Store, name: str, count: int) -> None:
        self._store, self._name, self._count = store, name, count
        self._results: list[bytes | memoryview] = []
        self._blob: Digest | None
        self._sizes: list[int]
        self._blob, self._sizes = self._recall() or (None, [])

    @property
    def done(self) -> bool:
        return self._blob is not None

    def take(self, results: Sequence[bytes | memoryview]) -> None:
        """Adds the next compressed blocks; stores the chunk with the last."""
        self._results += results
        if len(self._results) == self._count:
            self._sizes = [len(block) for block in self._results]
            with self._store.create() as blob:
                for block in self._results:  # joined they would take as much memory again, and 2 % of a squashfs' time
                    blob.write(block)
                self._blob = blob.commit()
            self._store.memo.put(self._name, " ".join(map(str, (self._blob, *self._sizes))))
            self._results.clear()

    def slices(self) -> Iterator[Slice]:
        offset = 0
        for size in self._sizes:
            yield Slice(self._blob, offset, size)
            offset += size

    def _recall(self) -> tuple[Digest, list[int]] | None:
        """Returns the blob and block sizes that were made of the same blocks before, if the store still has them."""
        if (memo := self._store.memo.get(self._name)) is None:
            return None
        blob, *sizes = memo.split()
        return (Digest.parse(blob), list(map(int, sizes))) if self._store.has(Digest(blob)) else None


def _chunks(blocks: Iterable[Block], least: int) -> Iterator[tuple[bytes, list[Block]]]:
    """Yields `blocks` in chunks of `least` bytes or more, each with its identity."""
    named = (
        ("".join([f"{blob} {offset} {count}," for blob, offset, count in block[1]]).encode(), block) for block in blocks
    )
    for chunk in grouped(named, lambda item: _size(item[1]), least, lambda item: zlib.crc32(item[0]) % ENDS == 0):
        yield b"\n".join([block[0] + name for name, block in chunk]), [block for _, block in chunk]


def _size(block: Block) -> int:
    return length(block[1])
