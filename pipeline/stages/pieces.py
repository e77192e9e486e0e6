"""Pieces: parts of a large content that are packed each for itself, and once: a change of a node packs what changed.

Pieces that follow each other make a part. What a part's pieces became is a blob; a fact says which, and where each of
them ends. A part ends where what it holds says so, not after so many pieces: behind something that was added or taken
away, parts are soon those that they were (content-defined chunking, as rsync and casync have it).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.compression.ordered_pool import OrderedThreadPool
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Work, length
from pipeline.store import Store, facts

PART = 1 << 20
"""Bytes that go into a part, at least; at most twice as many."""
FILES = 4 << 20
"""The same, where the files of a root are packed: they become smaller, and parts are files of the store."""
ENDS = 4
"""One piece in so many may end a part that has enough."""
AHEAD = 8 << 20
"""Bytes that may wait for a thread."""
TOGETHER = 1 << 20
"""Bytes of pieces that a thread gets at a time, about. What handles several at once need not wait for the interpreter's
lock between two, which took a tenth of a squashfs' time at level 4; with many more, the last would be waited for."""


def each(work: Callable[[bytes], bytes]) -> Work:
    """`Work` that does `work` with one piece after another."""
    return lambda some: list(map(work, some))


def packed(store: Store, how: str, work: Work, pieces: Iterable[Content], *, part: int = PART) -> Iterator[Slice]:
    """What `work` makes of the bytes of each of `pieces`, in order. `how` says all else that decides it, `part` how
    many bytes go together at least."""
    return headed(store, how, work, ((b"", piece) for piece in pieces), part=part)


def headed(
    store: Store, how: str, work: Work, pieces: Iterable[tuple[bytes, Content]], *, part: int = PART
) -> Iterator[Slice]:
    """The same for pieces that have some bytes, as many each, in front of their content."""
    waiting: deque[_Part] = deque()
    with OrderedThreadPool(work) as threads:
        for names, contents in _parts(pieces, part):
            made = _Part(store, f"{how} {Digest.of(names)}", len(contents))
            waiting.append(made)
            for some in () if made.done else _groups(contents):
                data = [head + store.bytes(content) for head, content in some]
                threads.submit(data, made.take)
                threads.drain(AHEAD // max(sum(map(len, data)), TOGETHER))
            while waiting and waiting[0].done:
                yield from waiting.popleft().slices()
        threads.drain()
    for made in waiting:
        yield from made.slices()


class _Part:
    """What some pieces became, as soon as that is known."""

    def __init__(self, store: Store, name: str, count: int) -> None:
        self._store, self._name, self._count = store, name, count
        self._results: list[bytes | memoryview] = []
        self._blob: Digest | None
        self._sizes: list[int]
        self._blob, self._sizes = self._known() or (None, [])

    @property
    def done(self) -> bool:
        return self._blob is not None

    def take(self, results: Sequence[bytes | memoryview]) -> None:
        """The next pieces became `results`."""
        self._results += results
        if len(self._results) == self._count:
            self._sizes = [len(each) for each in self._results]
            with self._store.create() as blob:
                for each in self._results:  # joined they would take as much memory again, and 2 % of a squashfs' time
                    blob.write(each)
                self._blob = blob.commit()
            facts.know(self._store, self._name, " ".join(map(str, (self._blob, *self._sizes))))
            self._results.clear()

    def slices(self) -> Iterator[Slice]:
        place = 0
        for size in self._sizes:
            yield Slice(self._blob, place, size)
            place += size

    def _known(self) -> tuple[Digest, list[int]] | None:
        """What was made before of the same pieces, if it is still here."""
        if (fact := facts.known(self._store, self._name)) is None:
            return None
        blob, *sizes = fact.split()
        return (Digest.parse(blob), list(map(int, sizes))) if self._store.has(Digest(blob)) else None


def _parts(pieces: Iterable[tuple[bytes, Content]], least: int) -> Iterator[tuple[bytes, list[tuple[bytes, Content]]]]:
    """`pieces` in parts of `least` bytes or more, each with what names it."""
    names: list[bytes] = []
    some: list[tuple[bytes, Content]] = []
    size = 0
    for piece in pieces:
        head, content = piece
        name = "".join([f"{blob} {offset} {count}," for blob, offset, count in content]).encode()
        names.append(head + name)
        some.append(piece)
        size += length(content)
        if size >= 2 * least or (size >= least and zlib.crc32(name) % ENDS == 0):
            yield b"\n".join(names), some
            names, some, size = [], [], 0
    if some:
        yield b"\n".join(names), some


def _groups(pieces: list[tuple[bytes, Content]]) -> Iterator[list[tuple[bytes, Content]]]:
    """`pieces`, as many together as make TOGETHER bytes."""
    some: list[tuple[bytes, Content]] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += length(piece[1])
        if size >= TOGETHER:
            yield some
            some, size = [], 0
    if some:
        yield some
