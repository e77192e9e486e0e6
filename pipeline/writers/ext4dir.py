"""Directories of ext4: a block of entries, or blocks of entries with an index of the names' hashes (htree).

Source: kernel, Documentation/filesystems/ext4/directory.rst; fs/ext4/hash.c for the order of the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from struct import pack, unpack
from typing import NamedTuple

from pipeline.ondisk import ext4 as ondisk
from pipeline.writers import FormatError
from pipeline.writers.crc32c import crc32c, crc32c_each
from pipeline.writers.ext4layout import BLOCK, MASK

TAIL = ondisk.DIR_ENTRY_TAIL.size
"""Bytes of the last entry of a block of entries, which looks unused and holds the checksum."""
ROOM = BLOCK - TAIL
DOTS = 24
"""Bytes of the entries `.` and `..`."""
ROOT_HEAD, NODE_HEAD = 32, 8
"""Offsets of the pairs in an index's root and in its other nodes."""
ROOT_LIMIT, NODE_LIMIT = (BLOCK - ROOT_HEAD - 8) // 8, (BLOCK - NODE_HEAD - 8) // 8
"""Pairs in a node; the last eight bytes are the checksum's."""
MOST_LEAVES = ROOT_LIMIT * NODE_LIMIT
"""Maximum number of blocks of names in a directory: an index has two levels (directory.rst, "Hash Tree Directories";
three take the feature large_dir)."""
LAST_HASH = 0xFFFFFFFE
"""The hash that marks the end of a directory: no name has it."""

_HEAD = ondisk.DIR_ENTRY.struct.pack
_TAIL = ondisk.DIR_ENTRY_TAIL.struct.pack


class Leaf(NamedTuple):
    """A block of entries, and the least hash in it (odd where its first names have the hash of those before it)."""

    least: int
    entries: Sequence[bytes]


def entry(name: bytes, inode: int, kind: int) -> bytes:
    """An entry of a directory, as short as it can be.

    kind: 1 file, 2 directory, 3 and 4 character and block device, 5 FIFO, 7 symbolic link.
    """
    size = 8 + len(name) + 3 & ~3
    return _HEAD(inode, size, len(name), kind) + name.ljust(size - 8, b"\0")


def leaves(entries: Sequence[bytes], seed: bytes) -> list[Leaf]:
    """The blocks of a directory: one, or those of a hashed directory in the order of `seed`'s hashes."""
    if DOTS + sum(map(len, entries)) <= ROOM:
        return [Leaf(0, entries)]
    state = unpack("<4I", seed)
    names = [each[8 : 8 + each[6]] for each in entries]
    ordered = sorted((half_md4(state, name), name, each) for name, each in zip(names, entries, strict=True))
    found: list[tuple[int, list[bytes]]] = [(0, [])]
    room, last = ROOM, -1
    for (major, _), _, each in ordered:
        if len(each) > room:
            found.append((major | (major == last), []))
            room = ROOM
        found[-1][1].append(each)
        room -= len(each)
        last = major
    return [Leaf(*each) for each in found]


def count(found: Sequence[Leaf], path: str) -> int:
    """Returns the number of blocks of a directory with these leaves; FormatError for too many."""
    nodes = _nodes(len(found))
    if nodes > ROOT_LIMIT:
        names = f"names in {len(found)} blocks; an ext4 directory has room for {MOST_LEAVES} (without large_dir)"
        raise FormatError(f"{path or 'the root'}: {names}: spread them over several directories")
    return len(found) + nodes + (len(found) > 1)


def index(found: Sequence[Leaf], inode: int, above: int, seed: int) -> list[bytes]:
    """The blocks in front of the leaves: none for a single one, which has `.` and `..` itself (see `bodies`).

    The directory is `inode` and lies in the directory `above`. seed: of the inode's checksums.
    """
    if len(found) == 1:
        return []
    nodes = _nodes(len(found))
    pairs = [(leaf.least, 1 + nodes + number) for number, leaf in enumerate(found)]
    result = []
    if nodes:
        groups = [pairs[start : start + NODE_LIMIT] for start in range(0, len(pairs), NODE_LIMIT)]
        empty = _HEAD(0, BLOCK, 0, 0)
        result = [_index(empty, group, NODE_LIMIT, seed) for group in groups]
        pairs = [(group[0][0], 1 + number) for number, group in enumerate(groups)]
    dots = entry(b".", inode, 2) + _HEAD(above, BLOCK - 12, 2, 2) + b"..\0\0"
    return [_index(dots + ondisk.DX_ROOT_INFO.pack(indirect_levels=bool(nodes)), pairs, ROOT_LIMIT, seed), *result]


def bodies(found: Sequence[Leaf], inode: int, above: int) -> list[bytes]:
    """Returns the content of the leaves' blocks, without trailing zeros and checksums, which `add_checksums` adds."""
    if len(found) == 1:
        return [_body([entry(b".", inode, 2), entry(b"..", above, 2), *found[0].entries])]
    return [_body(leaf.entries) for leaf in found]


def add_checksums(bodies: Sequence[bytes], seeds: Sequence[int]) -> list[bytes]:
    """Leaves' blocks with their checksums, of as many directories as there are. seeds: of the directory of each."""
    checksums = crc32c_each(seeds, bodies, ROOM)
    return [
        body.ljust(ROOM, b"\0") + _TAIL(0, TAIL, 0, ondisk.TAIL_TYPE, checksum)
        for body, checksum in zip(bodies, checksums, strict=True)
    ]


def _nodes(leaves: int) -> int:
    """Nodes between the index's root and so many leaves."""
    return -(-leaves // NODE_LIMIT) if leaves > ROOT_LIMIT else 0


def _body(entries: Sequence[bytes]) -> bytes:
    """A block's entries; the last one reaches to the checksum."""
    *others, last = entries or [_HEAD(0, 8, 0, 0)]
    data = b"".join(others)
    return data + last[:4] + (ROOM - len(data)).to_bytes(2, "little") + last[6:]


def _index(head: bytes, pairs: Sequence[tuple[int, int]], limit: int, seed: int) -> bytes:
    """Returns a node of the index: limit and count take the place of the first hash."""
    table = ondisk.DX_COUNTLIMIT.pack(limit=limit, count=len(pairs), block=pairs[0][1])
    table += b"".join(ondisk.DX_ENTRY.struct.pack(*pair) for pair in pairs[1:])
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
