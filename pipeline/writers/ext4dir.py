"""Directories of ext4: a block of entries, or blocks of entries behind an index of their names' hashes (htree).

Source: kernel, Documentation/filesystems/ext4/directory.rst; fs/ext4/hash.c for the order of the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from struct import pack, unpack
from typing import NamedTuple

from pipeline.writers import Unwritable
from pipeline.writers.crc32c import crc32c

BLOCK = 4096
TAIL = 12
"""Bytes of the last entry of a block of entries, which looks unused and holds the checksum."""
ROOM = BLOCK - TAIL
DOTS = 24
"""Bytes of the entries `.` and `..`."""
ROOT_HEAD, NODE_HEAD = 32, 8
"""Where the pairs of an index's root and of its other nodes start."""
ROOT_LIMIT, NODE_LIMIT = (BLOCK - ROOT_HEAD - 8) // 8, (BLOCK - NODE_HEAD - 8) // 8
"""Pairs in a node; the last eight bytes are the checksum's."""
HALF_MD4 = 1
LAST_HASH = 0xFFFFFFFE
"""Stands for the end of a directory where it is read, so no name has it."""
MASK = 0xFFFFFFFF


class Name(NamedTuple):
    """An entry of a directory."""

    name: bytes
    inode: int
    kind: int
    """1 file, 2 directory, 3 and 4 character and block device, 5 FIFO, 7 symbolic link."""

    @property
    def size(self) -> int:
        return 8 + len(self.name) + 3 & ~3


class Leaf(NamedTuple):
    """A block of entries, and the least hash in it (odd where its first names have the hash of those before it)."""

    least: int
    names: Sequence[Name]


def leaves(names: Sequence[Name], seed: bytes) -> list[Leaf]:
    """The blocks of a directory: one, or those of a hashed directory in the order of `seed`'s hashes."""
    if DOTS + sum(name.size for name in names) <= ROOM:
        return [Leaf(0, names)]
    state = unpack("<4I", seed)
    ordered = sorted((half_md4(state, name.name), name) for name in names)
    found: list[tuple[int, list[Name]]] = [(0, [])]
    room, last = ROOM, -1
    for (major, _), name in ordered:
        if name.size > room:
            found.append((major | (major == last), []))
            room = ROOM
        found[-1][1].append(name)
        room -= name.size
        last = major
    return [Leaf(*each) for each in found]


def count(found: Sequence[Leaf], path: str) -> int:
    """How many blocks a directory of these leaves takes; Unwritable if it has too many."""
    nodes = _nodes(len(found))
    if nodes > ROOT_LIMIT:
        raise Unwritable(f"{path}: more names than an ext4 directory has room for")
    return len(found) + nodes + (len(found) > 1)


def blocks(found: Sequence[Leaf], inode: int, above: int, seed: int) -> bytes:
    """The blocks of the directory `inode`, which is in the directory `above`. seed: of the inode's checksums."""
    dots = [Name(b".", inode, 2), Name(b"..", above, 2)]
    if len(found) == 1:
        return _entries([*dots, *found[0].names], seed)
    nodes = _nodes(len(found))
    pairs = [(leaf.least, 1 + nodes + number) for number, leaf in enumerate(found)]
    result = []
    if nodes:
        groups = [pairs[start : start + NODE_LIMIT] for start in range(0, len(pairs), NODE_LIMIT)]
        empty = pack("<IHH", 0, BLOCK, 0)
        result = [_index(empty, group, NODE_LIMIT, seed) for group in groups]
        pairs = [(group[0][0], 1 + number) for number, group in enumerate(groups)]
    head = _entry(dots[0], 12) + _entry(dots[1], BLOCK - 12)[:12] + pack("<IBBBB", 0, HALF_MD4, 8, bool(nodes), 0)
    return b"".join([_index(head, pairs, ROOT_LIMIT, seed), *result, *(_entries(leaf.names, seed) for leaf in found)])


def _nodes(leaves: int) -> int:
    """Nodes between the index's root and so many leaves."""
    return -(-leaves // NODE_LIMIT) if leaves > ROOT_LIMIT else 0


def _entries(names: Sequence[Name], seed: int) -> bytes:
    """A block of entries; the last of them reaches to the checksum."""
    parts = [_entry(name, name.size) for name in names[:-1]]
    rest = ROOM - sum(map(len, parts))
    parts.append(_entry(names[-1], rest) if names else pack("<IHH", 0, rest, 0).ljust(rest, b"\0"))
    block = b"".join(parts)
    return block + pack("<IHBBI", 0, TAIL, 0, 0xDE, crc32c(seed, block))


def _entry(name: Name, length: int) -> bytes:
    return pack("<IHBB", name.inode, length, len(name.name), name.kind) + name.name.ljust(length - 8, b"\0")


def _index(head: bytes, pairs: Sequence[tuple[int, int]], limit: int, seed: int) -> bytes:
    """A node of the index: the place of the first hash is taken by the limit and the count."""
    table = pack("<HHI", limit, len(pairs), pairs[0][1])
    table += b"".join(pack("<II", *pair) for pair in pairs[1:])
    checksum = crc32c(crc32c(seed, head + table), bytes(8))
    return (head + table).ljust(BLOCK - 4, b"\0") + pack("<I", checksum)


def half_md4(seed: Sequence[int], name: bytes) -> tuple[int, int]:
    """The hash of `name` and the part that only orders (half MD4, of unsigned characters)."""
    state = list(seed)
    for start in range(0, len(name), 32):
        pad = bytes([len(name) - start])
        words = [word.rjust(4, pad) for word in re.findall(rb"(?s).{1,4}", name[start : start + 32])]
        state = _mix(state, [int.from_bytes(word) for word in (words + [pad * 4] * 8)[:8]])
    major = state[1] & ~1
    return (major if major != LAST_HASH else LAST_HASH - 2), state[2]


_ROUNDS: tuple[tuple[Callable[[int, int, int], int], int, tuple[int, ...], tuple[int, ...]], ...] = (
    (lambda x, y, z: z ^ x & (y ^ z), 0, (0, 1, 2, 3, 4, 5, 6, 7), (3, 7, 11, 19)),
    (lambda x, y, z: (x & y) + ((x ^ y) & z), 0x5A827999, (1, 3, 5, 7, 0, 2, 4, 6), (3, 5, 9, 13)),
    (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, (3, 7, 2, 6, 1, 5, 0, 4), (3, 9, 11, 15)),
)
"""MD4's three rounds (RFC 1320), cut to half: function, constant, order of the words, shifts."""


def _mix(state: list[int], words: list[int]) -> list[int]:
    a, b, c, d = state
    for function, constant, order, shifts in _ROUNDS:
        for step, word in enumerate(order):
            total = a + function(b, c, d) + words[word] + constant & MASK
            shift = shifts[step & 3]
            a, b, c, d = d, (total << shift | total >> 32 - shift) & MASK, b, c
    return [old + new & MASK for old, new in zip(state, (a, b, c, d), strict=True)]
