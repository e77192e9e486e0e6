"""The parts of a disk that hold data, for formats that leave out holes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pipeline.model.tree import Content, Slice


class Run(NamedTuple):
    """Blocks `first` to `end` (not included) of a disk, in the caller's unit."""

    first: int
    end: int

    @property
    def blocks(self) -> int:
        return self.end - self.first


def runs(content: Content, block: int) -> list[Run]:
    """The blocks of `block` bytes that are not all hole, in order, as runs that do not touch each other."""
    found: list[Run] = []
    position = 0
    for blob, _, size in content:
        if blob is not None and size:
            run = Run(position // block, -(-(position + size) // block))
            if found and run.first <= found[-1].end:
                found[-1] = Run(found[-1].first, run.end)
            else:
                found.append(run)
        position += size
    return found


def allocated(content: Content, block: int) -> Iterator[tuple[Run, Content]]:
    """Yields the same runs, each with its content; the last one ends with `content`."""
    rest = iter(content)
    position, piece = 0, next(rest, None)
    for run in runs(content, block):
        pieces: list[Slice] = []
        while piece is not None and position < run.end * block:
            end = position + piece.length
            start, stop = max(position, run.first * block), min(end, run.end * block)
            if start < stop:
                offset = piece.offset + start - position if piece.blob else 0
                pieces.append(Slice(piece.blob, offset, stop - start))
            if end > run.end * block:
                break
            position, piece = end, next(rest, None)
        yield run, tuple(pieces)


def to_bytes(table: array[int], order: Literal["little", "big"]) -> bytes:
    """The bytes of `table` in a byte order that does not depend on the machine."""
    if sys.byteorder != order:
        table = array(table.typecode, table)
        table.byteswap()
    return table.tobytes()
