"""erofs' metadata: places for inodes, directory blocks, extended attributes.

Source: fs/erofs/erofs_fs.h, dir.c, namei.c and xattr.c of the kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from struct import pack
from typing import NamedTuple

from pipeline.model.tree import Entry, Xattrs
from pipeline.ondisk.erofs import DIRENT, PREFIXES, SLOT, XATTR_ENTRY, XATTR_IBODY_HEADER
from pipeline.writers import FormatError, raw
from pipeline.writers.carried import Carried
from pipeline.writers.erofsdata import BLOCK
from pipeline.writers.limits import limit_error, short_path

SLOTS = BLOCK // SLOT
CARRIED = Carried("erofs", tuple(PREFIXES), refuses=True)
MOST_SHARED = 255
"""Shared attributes of one inode: their number is a byte."""
LARGEST_VALUE = 65535
"""Maximum size of an extended attribute's value, in bytes (erofs_fs.h, e_value_size: 16 bits)."""
LARGEST_RECORD = 65535 * 4
"""Maximum size of the extended attributes of one inode, in bytes (erofs_fs.h, i_xattr_icount: 16 bits, in units of 4
bytes)."""


class Shelf:
    """Allocates places for inodes in consecutive blocks, each where it leaves the least room.

    What fits into a block lies in one, since data after an inode may not cross a boundary. The first slot stays empty:
    tools read the inode number 0 as none.
    """

    def __init__(self) -> None:
        self.blocks = 1
        self._free: list[list[int]] = [[] for _ in range(SLOTS + 1)]
        self._rooms = 0
        """Bit n is set if a block with n free slots exists."""
        self._put(SLOT, SLOTS - 1)

    def take(self, size: int) -> int:
        """The offset of a new place of `size` bytes."""
        slots = -(-size // SLOT)
        fitting = self._rooms >> slots
        if fitting and slots <= SLOTS:
            room = slots + (fitting & -fitting).bit_length() - 1
            offset = self._free[room].pop()
            if not self._free[room]:
                self._rooms &= ~(1 << room)
        else:
            offset = self.blocks * BLOCK
            self.blocks += -(-slots // SLOTS)
            room = -(-slots // SLOTS) * SLOTS
        self._put(offset + slots * SLOT, room - slots)
        return offset

    def _put(self, offset: int, slots: int) -> None:
        if slots:
            self._free[slots].append(offset)
            self._rooms |= 1 << slots


class Name(NamedTuple):
    """An entry of a directory: its name, the path of its inode, its type (1 to 7)."""

    name: bytes
    inode: str
    kind: int


class DirectoryBlocks:
    """A directory's entries, cut into blocks. Names follow the entries of their block, all in byte order."""

    def __init__(self, names: Iterable[Name]) -> None:
        self._blocks: list[list[Name]] = [[]]
        used = 0
        for entry in sorted(names):
            if used + DIRENT.size + len(entry.name) > BLOCK:
                self._blocks.append([])
                used = 0
            self._blocks[-1].append(entry)
            used += DIRENT.size + len(entry.name)
        self.whole = len(self._blocks) - 1
        """Blocks before the last."""
        self.rest = used
        """Bytes in the last one."""

    @property
    def size(self) -> int:
        return self.whole * BLOCK + self.rest

    def block(self, number: int, nids: Mapping[str, int]) -> bytes:
        """The block `number`, all but the last filled up. `nids`: the inodes' numbers, by path."""
        entries = self._blocks[number]
        at = len(entries) * DIRENT.size
        rows = []
        for name, inode, kind in entries:
            rows.append(DIRENT.struct.pack(nids[inode], at, kind, 0))
            at += len(name)
        data = b"".join([*rows, *(entry.name for entry in entries)])
        return data if number == self.whole else data.ljust(BLOCK, b"\0")


class Attributes:
    """Extended attributes: one that several inodes have is in a shared table, any other after its inode."""

    def __init__(self, inodes: Mapping[str, Entry]) -> None:
        self.shared = b""
        """The table."""
        for path, entry in inodes.items():
            _check(path, entry.xattrs)
        pairs = Counter(pair for entry in inodes.values() for pair in entry.xattrs)
        self._numbers: dict[tuple[str, bytes], int] = {}
        table = bytearray()
        for pair in sorted(pair for pair, count in pairs.items() if count > 1):
            self._numbers[pair] = len(table) // 4
            table += _pair(*pair)
        self.shared = bytes(table)
        self._records: dict[Xattrs, bytes] = {(): b""}
        for path, entry in inodes.items():
            if entry.xattrs not in self._records:
                self._records[entry.xattrs] = self._record(path, entry.xattrs)

    def of(self, entry: Entry) -> bytes:
        """Returns the bytes after the inode of `entry`: a multiple of 4."""
        return self._records[entry.xattrs]

    def _record(self, path: str, xattrs: Xattrs) -> bytes:
        shared = [pair for pair in sorted(xattrs) if pair in self._numbers][:MOST_SHARED]
        own = [_pair(*pair) for pair in sorted(xattrs) if pair not in shared]
        record = _shared([self._numbers[pair] for pair in shared]) + b"".join(own)
        if len(record) > LARGEST_RECORD:
            raise limit_error(path, "extended attributes", len(record), LARGEST_RECORD, "erofs", "leave some out")
        return record


def _shared(numbers: Sequence[int]) -> bytes:
    return XATTR_IBODY_HEADER.pack(h_shared_count=len(numbers)) + pack(f"<{len(numbers)}I", *numbers)


def _check(path: str, xattrs: Xattrs) -> None:
    for key, value in xattrs:
        if _prefix(key) is None:
            room = f"erofs has room for {', '.join(PREFIXES)}"
            raise FormatError(f"{short_path(path)}: extended attribute {key}; {room}: leave it out")
        if len(value) > LARGEST_VALUE:
            raise limit_error(path, f"extended attribute {key}", len(value), LARGEST_VALUE, "erofs", "leave it out")


def _prefix(key: str) -> str | None:
    """Returns the prefix of an attribute's name that erofs has a number for."""
    return next((each for each in PREFIXES if key == each or (each.endswith(".") and key.startswith(each))), None)


def _pair(key: str, value: bytes) -> bytes:
    prefix = _prefix(key) or ""
    name = raw(key[len(prefix) :])
    record = XATTR_ENTRY.struct.pack(len(name), PREFIXES[prefix], len(value)) + name + value
    return record + bytes(-len(record) % 4)
