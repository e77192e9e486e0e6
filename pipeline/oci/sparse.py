"""Sparse files in tars: GNU tar's four formats (its manual, "Storing Sparse Files")."""

from __future__ import annotations

from typing import Protocol

from pipeline.oci.error import Refusal
from pipeline.oci.pax import Records, decimal, integer
from pipeline.oci.tar_fields import blocks, number

FILE_LIMIT = 1 << 43
"""Maximum size of a file, holes included, in bytes: 8 TiB, half of what ext4 can hold."""
REGIONS_LIMIT = 1 << 16
"""Maximum number of regions of data in a sparse file."""
MAP_LIMIT = 1 << 22
"""Maximum size of a map in front of a file's data, in bytes."""

Extents = tuple[tuple[int, int], ...]
"""A member's data: (offset in the archive, length); offset -1 is a hole."""
Regions = list[tuple[int, int]]
"""The data of a sparse file: (offset in the file, length)."""


class Buffer(Protocol):
    """Bytes that can be sliced: `bytes`, a `mmap`, content in the store."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice, /) -> bytes: ...


def gnu_extents(buffer: Buffer, header: bytes, name: str, data: int, size: int) -> tuple[Extents, int]:
    """Reads GNU's first format: regions in the header and in blocks behind it. Returns the data's position, too."""
    table, more, position = header[386:482], header[482], data
    real_size = number(header[483:495])
    regions: Regions = []
    while True:
        for start in range(0, len(table) - 23, 24):
            if table[start : start + 24].strip(b"\0") == b"":
                break
            regions.append((number(table[start : start + 12]), number(table[start + 12 : start + 24])))
        if not more:
            break
        if len(regions) > REGIONS_LIMIT or position + 512 > len(buffer):
            raise Refusal(f"{name!r}: a sparse file of too many regions, or cut off")
        block = buffer[position : position + 512]
        table, more, position = block[:504], block[504], position + 512
    return _extents(regions, real_size, position, position + size), position


def pax_extents(records: Records, buffer: Buffer, data: int, size: int) -> Extents:
    """Reads GNU's formats 0.0, 0.1 and 1.0 out of a member's records and the `size` bytes at `data`."""
    values = dict(records)
    real_size = integer(values, b"GNU.sparse.realsize")
    if real_size is None:
        real_size = integer(values, b"GNU.sparse.size")
    if real_size is None:
        raise Refusal("a sparse file without a size")
    start = data
    if values.get(b"GNU.sparse.major") == b"1":
        regions, length = _leading_map(buffer[data : data + min(size, MAP_LIMIT)])
        start += length
    elif b"GNU.sparse.map" in values:
        regions = _pairs([decimal(text, b"GNU.sparse.map") for text in values[b"GNU.sparse.map"].split(b",")])
    else:
        keys = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        regions = _pairs([decimal(value, key) for key, value in records if key in keys])
    return _extents(regions, real_size, start, data + size)


def _extents(regions: Regions, real_size: int, start: int, stop: int) -> Extents:
    """Returns the extents of regions whose data stands in a row from `start` to `stop`, with holes between them."""
    if len(regions) > REGIONS_LIMIT or not 0 <= real_size <= FILE_LIMIT:
        raise Refusal(f"a sparse file of {len(regions)} regions and {real_size} bytes is beyond the limits")
    extents: list[tuple[int, int]] = []
    end = 0
    for offset, size in regions:
        if offset < end or size < 0 or offset + size > real_size:
            raise Refusal(f"a sparse file whose region {offset}+{size} overlaps another or its end at {real_size}")
        if offset > end:
            extents.append((-1, offset - end))
        if size:
            extents.append((start, size))
        start += size
        end = offset + size
    if start != stop:
        raise Refusal(f"a sparse file whose regions need {start - stop:+d} bytes more than it has")
    if real_size > end:
        extents.append((-1, real_size - end))
    return tuple(extents)


def _leading_map(text: bytes) -> tuple[Regions, int]:
    """Parses format 1.0: the number of regions, then offset and length of each, a number a line, in whole blocks."""
    first = text.find(b"\n")
    count = decimal(text[: max(first, 0)], b"sparse map")
    lines = text.split(b"\n", 2 * count + 1) if count <= len(text) else []
    if len(lines) != 2 * count + 2:
        raise Refusal("a sparse file whose map is cut off")
    length = len(text) - len(lines[-1])
    return _pairs([decimal(line, b"sparse map") for line in lines[1:-1]]), blocks(length)


def _pairs(numbers: list[int]) -> Regions:
    if len(numbers) % 2:
        raise Refusal("a sparse file with half a region")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
