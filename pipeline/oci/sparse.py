"""Sparse files in tars: GNU tar's four formats (its manual, "Storing Sparse Files")."""

from __future__ import annotations

from typing import Protocol

from pipeline.oci.error import Refusal
from pipeline.oci.pax import Records, decimal, integer
from pipeline.oci.tar_fields import number

FILE_LIMIT = 1 << 43
"""Bytes that a file may have, holes included: 8 TiB, half of what ext4 can hold."""
REGIONS_LIMIT = 1 << 16
"""Regions of data in one sparse file."""
MAP_LIMIT = 1 << 22
"""Bytes of a map that stands before a file's data."""

Extents = tuple[tuple[int, int], ...]
"""Where a member's data stands: (offset in the archive, length); offset -1 is a hole."""


class Buffer(Protocol):
    """Bytes that are there whole: `bytes`, a `mmap`, a window on content in the store."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice, /) -> bytes: ...


def old(buffer: Buffer, header: bytes, name: str, data: int, size: int) -> tuple[Extents, int]:
    """GNU's first sparse format: regions in the header and in blocks behind it; and where the data starts."""
    table, more, place_of_more = header[386:482], header[482], data
    real_size = number(header[483:495])
    regions: list[tuple[int, int]] = []
    while True:
        for at in range(0, len(table) - 23, 24):
            if table[at : at + 24].strip(b"\0") == b"":
                break
            regions.append((number(table[at : at + 12]), number(table[at + 12 : at + 24])))
        if not more:
            break
        if len(regions) > REGIONS_LIMIT or place_of_more + 512 > len(buffer):
            raise Refusal(f"{name!r}: a sparse file of too many regions, or cut off")
        block = buffer[place_of_more : place_of_more + 512]
        table, more, place_of_more = block[:504], block[504], place_of_more + 512
    return spread(regions, real_size, place_of_more, place_of_more + size), place_of_more


def spread(regions: list[tuple[int, int]], real_size: int, start: int, stop: int) -> Extents:
    """Regions (offset in the file, length) whose data stands in a row from `start` to `stop`, with holes between."""
    if len(regions) > REGIONS_LIMIT or not 0 <= real_size <= FILE_LIMIT:
        raise Refusal(f"a sparse file of {len(regions)} regions and {real_size} bytes is beyond the limits")
    extents: list[tuple[int, int]] = []
    reached = 0
    for offset, size in regions:
        if offset < reached or size < 0 or offset + size > real_size:
            raise Refusal(f"a sparse file whose region {offset}+{size} overlaps another or its end at {real_size}")
        if offset > reached:
            extents.append((-1, offset - reached))
        if size:
            extents.append((start, size))
        start += size
        reached = offset + size
    if start != stop:
        raise Refusal(f"a sparse file whose regions need {start - stop:+d} bytes more than it has")
    if real_size > reached:
        extents.append((-1, real_size - reached))
    return tuple(extents)


def described(records: Records, buffer: Buffer, data: int, size: int) -> tuple[list[tuple[int, int]], int, int]:
    """The regions of a sparse file (GNU formats 0.0, 0.1 and 1.0), its size, and where in `buffer` its data starts."""
    said = dict(records)
    real_size = integer(said, b"GNU.sparse.realsize")
    if real_size is None:
        real_size = integer(said, b"GNU.sparse.size")
    if real_size is None:
        raise Refusal("a sparse file that does not say how large it is")
    if said.get(b"GNU.sparse.major") == b"1":
        regions, length = _leading_map(buffer[data : data + min(size, MAP_LIMIT)])
        return regions, real_size, data + length
    if b"GNU.sparse.map" in said:
        numbers = [decimal(text, b"GNU.sparse.map") for text in said[b"GNU.sparse.map"].split(b",")]
    else:
        keys = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers = [decimal(value, key) for key, value in records if key in keys]
    return _pairs(numbers), real_size, data


def _leading_map(text: bytes) -> tuple[list[tuple[int, int]], int]:
    """Format 1.0: how many regions, then offset and length of each, a number a line, padded to whole blocks."""
    first = text.find(b"\n")
    count = decimal(text[: max(first, 0)], b"sparse map")
    lines = text.split(b"\n", 2 * count + 1) if count <= len(text) else []
    if len(lines) != 2 * count + 2:
        raise Refusal("a sparse file whose map is cut off")
    length = len(text) - len(lines[-1])
    return _pairs([decimal(line, b"sparse map") for line in lines[1:-1]]), length + 511 & -512


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise Refusal("a sparse file with half a region")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
