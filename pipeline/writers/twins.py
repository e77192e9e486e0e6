"""Files that hold the same bytes: file systems that can share content store it once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice

from pipeline.tree import Content, Read, length

TOGETHER = 256
"""Files that are read at once: most are small, and to ask for each would take longer than to hash it."""
SMALL = 16 << 10
"""Bytes of a file that is read with others, at most."""


def identities(contents: Mapping[str, Content], read: Read) -> Iterator[tuple[str, object]]:
    """Each path with what names its bytes: equal for equal bytes, and for no others.

    Only a file that is as long as another, and is not the same slices, has to be read.
    """
    alike = Counter(map(length, set(contents.values())))
    known: dict[Content, object] = {}
    rest = iter(contents.items())
    while some := list(islice(rest, TOGETHER)):
        small = []
        for content in dict.fromkeys([content for _, content in some if content not in known]):
            size = length(content)
            if alike[size] == 1:
                known[content] = content
            elif size <= SMALL:
                small.append(content)
            else:
                known[content] = _digest(content, read)
        known.update(zip(small, _digests(small, read), strict=True))
        yield from [(path, known[content]) for path, content in some]


def _digests(contents: list[Content], read: Read) -> Iterator[bytes]:
    data, place = b"".join(read(tuple(chain.from_iterable(contents)))), 0
    for content in contents:
        size = length(content)
        yield hashlib.sha256(data[place : place + size]).digest()
        place += size


def _digest(content: Content, read: Read) -> bytes:
    digest = hashlib.sha256()
    for data in read(content):
        digest.update(data)
    return digest.digest()
