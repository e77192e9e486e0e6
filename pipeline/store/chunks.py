"""Chunks: a large content in stretches of one size, each with a name for what lies there.

Two contents, or one and what a file of the host was made from, are alike where their chunks have the same names.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pipeline.tree import Content, length, split

LEAST = 1 << 20
"""Bytes of a chunk, at least."""
MOST = 4096
"""Chunks of a content, at most: the larger it is, the larger they are."""


class Chunk(NamedTuple):
    name: str
    """32 hexadecimal digits: the same for the same slices at the same place."""
    pieces: Content


def size_of(content: Content) -> int:
    """Bytes of each chunk of `content` but the last: LEAST times a power of two."""
    size, whole = LEAST, length(content)
    while size * MOST < whole:
        size *= 2
    return size


def chunks(content: Content) -> list[Chunk]:
    """`content` in chunks, in order; none of them is empty."""
    size = size_of(content)
    return [Chunk(_name(number * size, pieces), pieces) for number, pieces in enumerate(split(content, size))]


def name_of(parts: list[Chunk]) -> str:
    """What names the whole: 64 hexadecimal digits."""
    return hashlib.sha256(" ".join([chunk.name for chunk in parts]).encode()).hexdigest()


def _name(place: int, pieces: Content) -> str:
    slices = "".join([f"{blob} {offset} {count}," for blob, offset, count in pieces])
    return hashlib.sha256(f"{place} {slices}".encode()).hexdigest()[:32]
