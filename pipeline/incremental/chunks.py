"""Splits a large content into chunks of one size, each with a name for its slices and its place.

Two contents are alike where their chunks have the same names.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pipeline.model.tree import Content, length, split

LEAST = 1 << 20
"""Smallest size of a chunk, in bytes; the last may be shorter."""
MOST = 4096
"""Maximum number of chunks of a content: larger contents have larger chunks."""


class Chunk(NamedTuple):
    name: str
    """32 hexadecimal digits, the same for the same slices at the same place."""
    content: Content
    size: int
    """In bytes."""


def chunk_size(whole: int) -> int:
    """Returns the size in bytes of the chunks of a content of `whole` bytes: LEAST times a power of two."""
    size = LEAST
    while size * MOST < whole:
        size *= 2
    return size


def chunks(content: Content) -> list[Chunk]:
    """Returns the chunks of `content`, in order; none of them is empty."""
    whole = length(content)
    size = chunk_size(whole)
    offsets = range(0, whole, size)
    return [
        Chunk(_name(offset, some), some, min(size, whole - offset))
        for offset, some in zip(offsets, split(content, size), strict=True)
    ]


def name_of(chunks: list[Chunk]) -> str:
    """Returns a name for the whole content: 64 hexadecimal digits."""
    return hashlib.sha256(" ".join([chunk.name for chunk in chunks]).encode()).hexdigest()


def _name(offset: int, content: Content) -> str:
    slices = "".join([f"{blob} {start} {count}," for blob, start, count in content])
    return hashlib.sha256(f"{offset} {slices}".encode()).hexdigest()[:32]
