"""The data area of squashfs: the blocks of files, and fragment blocks that hold the ends of many.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.2 and 3.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import pack

from pipeline.inorder import InOrder
from pipeline.tree import Content, Read, Sink, length
from pipeline.writers.twins import identities

BLOCK_LOG = 17
BLOCK = 1 << BLOCK_LOG
"""128 KiB, as mksquashfs has it."""
RAW = 1 << 24
"""In the size of a block: it is stored as it is."""
NO_FRAGMENT = 0xFFFFFFFF
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
        self._ends: list[bytes] = []
        self._filled = 0
        self._fragment = 0

    def write(self, contents: Mapping[str, Content]) -> dict[str, Place]:
        """Write every content of `contents`, none of which is empty, once, and say where it is."""
        known: dict[object, Place] = {}
        places: dict[str, Place] = {}
        large = {path: content for path, content in contents.items() if length(content) >= BLOCK}
        named = identities(large, self._read)
        with InOrder(self._compress) as threads:
            for path, content in contents.items():
                if path in large:
                    _, identity = next(named)
                    if identity not in known:
                        known[identity] = self._file(threads, content)
                else:
                    data = b"".join(self._read(content))
                    identity = hashlib.sha256(data).digest()
                    if identity not in known:
                        known[identity] = Place(0, [], *self._end(threads, data))
                places[path] = known[identity]
            self._flush_ends(threads)
        return places

    def _file(self, threads: InOrder[bytes, bytes], content: Content) -> Place:
        place = Place()
        for data in self._blocks(content):
            if len(data) < BLOCK:
                place.fragment, place.offset = self._end(threads, data)
            elif data == ZEROS:
                place.sizes.append(0)
            else:
                self._submit(threads, data, self._recorder(place))
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

    def _end(self, threads: InOrder[bytes, bytes], data: bytes) -> tuple[int, int]:
        """Put the end of a file into a fragment block: its number, and the offset in it."""
        if self._filled + len(data) > BLOCK:
            self._flush_ends(threads)
        offset = self._filled
        self._ends.append(data)
        self._filled += len(data)
        return self._fragment, offset

    def _flush_ends(self, threads: InOrder[bytes, bytes]) -> None:
        def placed(start: int, size: int) -> None:
            self.fragments += pack("<QII", start, size, 0)

        if self._ends:
            self._submit(threads, b"".join(self._ends), placed)
            self._fragment += 1
            self._ends.clear()
            self._filled = 0

    def _submit(self, threads: InOrder[bytes, bytes], data: bytes, placed: Placed) -> None:
        def take(packed: bytes) -> None:
            start, flag = self._out.tell() - self._origin, 0
            if len(packed) >= len(data):
                packed, flag = data, RAW
            self._out.write(packed)
            placed(start, len(packed) | flag)

        threads.submit(data, take)
