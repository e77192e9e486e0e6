"""Wordsum: the sum of a content's 16-bit words: a PE program's checksum but for its size (Microsoft, PE Format).

It is kept for large slices: a program that holds an initrd of which one fragment changed is summed without reading the
others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.tree import Content, Slice
from pipeline.store import facts

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 1 << 20
"""Bytes up to which a slice is sooner read than looked up."""
MODULUS = 0xFFFF
"""The carry of a 16-bit sum comes back in, so sums are numbers modulo this; 0 and it are one."""


def wordsum(store: Store, content: Content) -> int:
    """The sum of the little-endian 16-bit words of `content`, an odd last byte a word too, modulo 2^16 - 1."""
    total = place = 0
    for piece in content:
        total += _swapped(_of(store, piece), place)
        place += piece.length
    return total % MODULUS


def _swapped(part: int, place: int) -> int:
    """What bytes that sum up to `part` add where they start at `place`: at an odd one the bytes of words are swapped,
    which modulo 2^16 - 1 is a multiplication."""
    return part << 8 if place & 1 else part


def _of_bytes(data: bytes) -> int:
    """The sum of `data` alone."""
    return int.from_bytes(data, "little") % MODULUS  # 2^16 is 1 there: a number is the sum of its words


def _of(store: Store, piece: Slice) -> int:
    if piece.blob is None:
        return 0
    name = f"words {piece.blob} {piece.offset} {piece.length}"
    if piece.length > SMALL and (fact := facts.known(store, name)) is not None:
        return int(fact)
    total = place = 0
    for data in store.read((piece,)):
        total += _swapped(_of_bytes(data), place)
        place += len(data)
    if piece.length > SMALL:
        facts.know(store, name, str(total % MODULUS))
    return total % MODULUS
