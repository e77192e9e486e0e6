"""A disk of verity-efi, changed as somebody would change it who has the disk and no key."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from pipeline.ondisk import gpt
from tests.judges import need, run

SECTOR = 512
ENTRIES_SIZE = 128 * gpt.ENTRY.size
BOOT, ROOT, TREE = range(3)
"""Numbers of the partitions."""


class Disk:
    """The bytes of a disk, and its partitions as sfdisk(8) finds them."""

    def __init__(self, path: Path) -> None:
        table = json.loads(run(need("sfdisk", "fdisk"), "--json", path).stdout)["partitiontable"]
        self.data = bytearray(path.read_bytes())
        self.places = [(row["start"] * SECTOR, row["size"] * SECTOR) for row in table["partitions"]]

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path

    def partition(self, number: int) -> bytes:
        start, size = self.places[number]
        return bytes(self.data[start : start + size])

    def flip(self, place: int) -> None:
        """Changes a bit of the byte at `place`."""
        self.data[place] ^= 1

    def flip_in(self, number: int, offset: int) -> None:
        """Changes a bit of the byte at `offset` of a partition."""
        self.flip(self.places[number][0] + offset)

    def flip_where(self, number: int, text: bytes) -> None:
        """Changes a bit of the first byte of `text`, wherever a partition has it."""
        places = [found.start() for found in re.finditer(re.escape(text), self.partition(number))]
        assert places, text
        for place in places:
            self.flip_in(number, place)

    def headers(self) -> list[int]:
        """The places of the two headers of the partition table."""
        return [SECTOR, len(self.data) - SECTOR]

    def move(self, number: int, sectors: int) -> None:
        """Has a partition start `sectors` later, in both copies of the table, with right check sums."""
        for place in self.headers():
            header = gpt.HEADER.unpack(self.data, place)
            entries = header.PartitionEntryLBA * SECTOR
            entry = entries + number * gpt.ENTRY.size
            start = gpt.ENTRY.unpack(self.data, entry).StartingLBA
            gpt.ENTRY.patch(self.data, entry, StartingLBA=start + sectors)
            array = zlib.crc32(self.data[entries : entries + ENTRIES_SIZE])
            gpt.HEADER.patch(self.data, place, HeaderCRC32=0, PartitionEntryArrayCRC32=array)
            gpt.HEADER.patch(self.data, place, HeaderCRC32=zlib.crc32(self.data[place : place + gpt.HEADER.size]))

    def take(self, other: Disk, *numbers: int) -> None:
        """Replaces partitions by those of another disk."""
        for number in numbers:
            start, size = self.places[number]
            assert other.places[number] == (start, size)
            self.data[start : start + size] = other.partition(number)
