"""The data area of squashfs: the blocks of files, and fragment blocks that hold the ends of many.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.2 and 3.5. Blocks are compressed in two
threads; what is written does not depend on that.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from struct import pack

from pipeline.tree import Content, Entry, File, Read, Sink, length

BLOCK_LOG = 17
BLOCK = 1 << BLOCK_LOG
"""128 KiB, as mksquashfs has it."""
RAW = 1 << 24
"""In the size of a block: it is stored as it is."""
NO_FRAGMENT = 0xFFFFFFFF
WORKERS = 2
WAITING = 16
"""Blocks that may wait to be compressed or written."""
ZEROS = bytes(BLOCK)


@dataclass
class Place:
    """Where a file's bytes are."""

    start: int = 0
    sizes: list[int] = field(default_factory=list)
    """Of its blocks, as stored; 0 is a hole."""
    fragment: int = NO_FRAGMENT
    offset: int = 0


Placed = Callable[[int, int], None]
"""Is told where a block was written, and its size as stored."""


class Data:
    """Writes the contents of a tree's files to `out`; places count from `origin` there."""

    def __init__(self, read: Read, out: Sink, compress: Callable[[bytes], bytes], origin: int) -> None:
        self.fragments = b""
        """The fragment table's records, once everything is written."""
        self._read, self._out, self._compress, self._origin = read, out, compress, origin
        self._ends = bytearray()
        self._fragment = 0
        self._queue: deque[tuple[Future[bytes], bytes, Placed]] = deque()

    def write(self, tree: Mapping[str, Entry]) -> dict[str, Place]:
        """Write every content once: path (of a hard-linked file: its inode's name) -> place."""
        contents = {
            entry.inode or path: entry.content for path, entry in tree.items() if type(entry) is File and entry.size
        }
        places: dict[str, Place] = {}
        known: dict[object, Place] = {}
        with ThreadPoolExecutor(WORKERS) as pool:
            for path, identity in self._identities(contents):
                if identity not in known:
                    known[identity] = self._file(pool, contents[path])
                places[path] = known[identity]
            self._flush_ends(pool)
            self._drain(0)
        return places

    def _identities(self, contents: Mapping[str, Content]) -> Iterator[tuple[str, object]]:
        """Each path with what names its bytes: their digest where another file has the same size."""
        sizes = Counter(length(content) for content in contents.values())
        for path, content in contents.items():
            if sizes[length(content)] == 1:
                yield path, path
            else:
                digest = hashlib.sha256()
                for data in self._read(content):
                    digest.update(data)
                yield path, digest.digest()

    def _file(self, pool: ThreadPoolExecutor, content: Content) -> Place:
        place = Place()
        for data in self._blocks(content):
            if len(data) < BLOCK:
                place.fragment, place.offset = self._end(pool, data)
            elif data == ZEROS:
                place.sizes.append(0)
            else:
                self._submit(pool, data, self._recorder(place))
        return place

    def _recorder(self, place: Place) -> Placed:
        number, first = len(place.sizes), not any(place.sizes)
        place.sizes.append(1)

        def placed(start: int, size: int) -> None:
            place.sizes[number] = size
            if first:
                place.start = start

        return placed

    def _blocks(self, content: Content) -> Iterator[bytes]:
        """The bytes of `content` in blocks; the last may be short."""
        rest = b""
        for chunk in self._read(content):
            data = rest + chunk if rest else chunk
            whole = len(data) - len(data) % BLOCK
            for start in range(0, whole, BLOCK):
                yield data[start : start + BLOCK]
            rest = data[whole:]
        if rest:
            yield rest

    def _end(self, pool: ThreadPoolExecutor, data: bytes) -> tuple[int, int]:
        """Put the end of a file into a fragment block: its number, and the offset in it."""
        if len(self._ends) + len(data) > BLOCK:
            self._flush_ends(pool)
        offset = len(self._ends)
        self._ends += data
        return self._fragment, offset

    def _flush_ends(self, pool: ThreadPoolExecutor) -> None:
        def placed(start: int, size: int) -> None:
            self.fragments += pack("<QII", start, size, 0)

        if self._ends:
            self._submit(pool, bytes(self._ends), placed)
            self._fragment += 1
            self._ends.clear()

    def _submit(self, pool: ThreadPoolExecutor, data: bytes, placed: Placed) -> None:
        self._queue.append((pool.submit(self._compress, data), data, placed))
        self._drain(WAITING)

    def _drain(self, waiting: int) -> None:
        """Write blocks, in order, until no more than `waiting` are left."""
        while len(self._queue) > waiting:
            future, data, placed = self._queue.popleft()
            packed, flag = future.result(), 0
            if len(packed) >= len(data):
                packed, flag = data, RAW
            start = self._out.tell() - self._origin
            self._out.write(packed)
            placed(start, len(packed) | flag)
