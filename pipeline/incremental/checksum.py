"""The sum of a content's 16-bit words, of which a PE program's checksum is made (Microsoft, PE Format, CheckSum).

Sums of large slices are memoised: of a program that holds an initrd, only the fragments that changed are read.
"""

from __future__ import annotations

from pipeline.model.tree import Content, Slice
from pipeline.store import Store

SMALL = 1 << 20
"""Largest slice that is cheaper to read than to look up, in bytes."""
MODULUS = 0xFFFF
"""The carry of a 16-bit sum is added again, so sums are numbers modulo this (RFC 1071)."""


def checksum16(store: Store, content: Content) -> int:
    """Returns the sum of the little-endian 16-bit words of `content`, padded to whole words, modulo MODULUS."""
    total = offset = 0
    for piece in content:
        total += _shifted(_sum(store, piece), offset)
        offset += piece.length
    return total % MODULUS


def _shifted(part: int, offset: int) -> int:
    """Returns the share of bytes with the sum `part` at `offset`: at an odd one, they are the words' other halves."""
    return part << 8 if offset & 1 else part


def _sum(store: Store, piece: Slice) -> int:
    if piece.blob is None:
        return 0
    name = f"words {piece.blob} {piece.offset} {piece.length}"
    if piece.length > SMALL and (memo := store.memo.get(name)) is not None:
        return int(memo)
    total = offset = 0
    for data in store.read((piece,)):
        total += _shifted(int.from_bytes(data, "little") % MODULUS, offset)  # 2^16 is 1: a number is its words' sum
        offset += len(data)
    if piece.length > SMALL:
        store.memo.put(name, str(total % MODULUS))
    return total % MODULUS
