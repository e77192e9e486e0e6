"""Chunks: a large content in stretches of one size, each with a name for what lies there.

Two contents, or one and what a file of the host was made from, are alike where their chunks have the same names.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pipeline.model.tree import Content, length, split

LEAST = 1 << 20
"""Bytes of a chunk, at least."""
MOST = 4096
"""Chunks of a content, at most: the larger it is, the larger they are."""


class Chunk(NamedTuple):
    name: str
    """32 hexadecimal digits: the same for the same slices at the same place."""
    pieces: Content
    size: int
    """In bytes."""


def size_of(whole: int) -> int:
    """Bytes of each chunk but the last of a content of `whole` bytes: LEAST times a power of two."""
    size = LEAST
    while size * MOST < whole:
        size *= 2
    return size


def chunks(content: Content) -> list[Chunk]:
    """`content` in chunks, in order; none of them is empty."""
    whole = length(content)
    size = size_of(whole)
    places = range(0, whole, size)
    return [
        Chunk(_name(place, pieces), pieces, min(size, whole - place))
        for place, pieces in zip(places, split(content, size), strict=True)
    ]


def name_of(parts: list[Chunk]) -> str:
    """What names the whole: 64 hexadecimal digits."""
    return hashlib.sha256(" ".join([chunk.name for chunk in parts]).encode()).hexdigest()


def _name(place: int, pieces: Content) -> str:
    slices = "".join([f"{blob} {offset} {count}," for blob, offset, count in pieces])
    return hashlib.sha256(f"{place} {slices}".encode()).hexdigest()[:32]
