"""Files that hold the same bytes: file systems that can share content store it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Read, length

TOGETHER = 256
"""Files that are read at once: most are small, and to ask for each would take longer than to hash it."""
SMALL = 16 << 10
"""Bytes of a file that is read with others, at most."""


def identities(contents: Mapping[str, Content], read: Read) -> Iterator[tuple[str, object]]:
    """Yields each path with a name of its bytes: equal for equal bytes only.

    A file is read only if another one has the same size and other slices.
    """
    numbers: dict[Content, int] = {}
    each = [numbers.setdefault(content, len(numbers)) for content in contents.values()]  # hashed once: that takes long
    different = list(numbers)
    sizes = list(map(length, different))
    alike = Counter(sizes)
    names: list[object] = [number if alike[size] == 1 else None for number, size in enumerate(sizes)]
    rest = iter(zip(contents, each, strict=True))
    while batch := list(islice(rest, TOGETHER)):
        unread = dict.fromkeys([number for _, number in batch if names[number] is None])
        small = [number for number in unread if sizes[number] <= SMALL]
        for number, digest in zip(small, _digests([different[number] for number in small], read), strict=True):
            names[number] = digest
        for number in unread:
            if names[number] is None:
                names[number] = _digest(different[number], read)
        yield from [(path, names[number]) for path, number in batch]


def _digests(contents: list[Content], read: Read) -> Iterator[Digest]:
    data, place = b"".join(read(tuple(chain.from_iterable(contents)))), 0
    for content in contents:
        size = length(content)
        yield Digest.of(data[place : place + size])
        place += size


def _digest(content: Content, read: Read) -> Digest:
    return Digest.of_chunks(read(content))
