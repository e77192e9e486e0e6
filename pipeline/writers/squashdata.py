"""The data area of squashfs: the blocks of files, and fragment blocks that hold the ends of many.

Source: Documentation/filesystems/squashfs.rst of the kernel, sections 3.2 and 3.5.
"""

from __future__ import annotations

import hashlib
from collections import Counter
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


@dataclass(slots=True)
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
    """Writes the contents of a tree's files to `out`, compressed by `threads`; places count from `origin` there."""

    def __init__(self, read: Read, out: Sink, threads: InOrder[bytes, bytes], origin: int) -> None:
        self.fragments = b""
        """The fragment table's records."""
        self._read, self._out, self._threads, self._origin = read, out, threads, origin
        self._ends: list[bytes] = []
        self._filled = 0
        self._fragment = 0

    def write(self, contents: Mapping[str, Content]) -> dict[str, Place]:
        """Write every content of `contents`, none of which is empty, once, and say where it is.

        That, and `fragments`, is complete once everything is taken from the threads.
        """
        known: dict[object, Place] = {}
        places: dict[str, Place] = {}
        sizes = {path: length(content) for path, content in contents.items()}
        alike = Counter(sizes.values())
        named = identities({path: contents[path] for path, size in sizes.items() if size >= BLOCK}, self._read)
        identity: object
        for path, content in contents.items():
            if sizes[path] >= BLOCK:
                _, identity = next(named)
                if identity not in known:
                    known[identity] = self._file(content)
            else:
                data = b"".join(self._read(content))
                identity = hashlib.sha256(data).digest() if alike[len(data)] > 1 else path
                if identity not in known:
                    known[identity] = Place(0, [], *self._end(data))
            places[path] = known[identity]
        self._flush_ends()
        return places

    def _file(self, content: Content) -> Place:
        place = Place()
        for data in self._blocks(content):
            if len(data) < BLOCK:
                place.fragment, place.offset = self._end(data)
            elif data == ZEROS:
                place.sizes.append(0)
            else:
                self._submit(data, self._recorder(place))
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

    def _end(self, data: bytes) -> tuple[int, int]:
        """Put the end of a file into a fragment block: its number, and the offset in it."""
        if self._filled + len(data) > BLOCK:
            self._flush_ends()
        offset = self._filled
        self._ends.append(data)
        self._filled += len(data)
        return self._fragment, offset

    def _flush_ends(self) -> None:
        def placed(start: int, size: int) -> None:
            self.fragments += pack("<QII", start, size, 0)

        if self._ends:
            self._submit(b"".join(self._ends), placed)
            self._fragment += 1
            self._ends.clear()
            self._filled = 0

    def _submit(self, data: bytes, placed: Placed) -> None:
        def take(packed: bytes) -> None:
            start, flag = self._out.tell() - self._origin, 0
            if len(packed) >= len(data):
                packed, flag = data, RAW
            self._out.write(packed)
            placed(start, len(packed) | flag)

        self._threads.submit(data, take)
