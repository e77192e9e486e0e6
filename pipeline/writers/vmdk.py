"""VMDK disk images in the stream-optimised form: compressed grains, as an OVA carries them and ESXi imports them.

Source: VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents". The file is: header, descriptor,
grains with the tables that name them, directory, footer. Grains that are all zeros are left out.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import pack

from pipeline.tree import Content, Sink, Slice, cut, length
from pipeline.writers.extents import held, words

VERSION = 3
SECTOR = 512
GRAIN = 128 * SECTOR
"""64 KiB."""
ENTRIES = 512
"""Grains that one table names."""
OVERHEAD = 128
"""Sectors of header and descriptor; the first grain starts here."""
FLAGS = 0x30001
"""Line ends can be tested, grains are compressed, and markers stand between them."""
AT_END = (1 << 64) - 1
MARKER_TABLE, MARKER_DIRECTORY, MARKER_FOOTER, MARKER_END = 1, 2, 3, 0
SAMPLE = 4096
"""Bytes of a grain that are tried: most of a node's disk is compressed already."""
STORED = 65535
"""Bytes of a block that is not compressed (RFC 1951, 3.2.4)."""
PART = 32
"""Grains that are packed together: 2 MiB."""
Deflate = Callable[[bytes], bytes]
"""zlib streams (RFC 1950), always the same for the same bytes."""
Make = Callable[[list[tuple[int, Content]]], Iterable[list[Slice]]]
"""Parts of a disk (the number of the first grain, and what they hold) -> the grains of each."""


def write(content: Content, make: Make, out: Sink, identity: int) -> None:
    """Write the raw disk `content` (a multiple of 512 bytes). `identity` is the 32-bit CID.

    make: gives for parts of the disk what `packed` makes of them, whoever calls that.
    """
    sectors = length(content) // SECTOR
    grains = -(-sectors // 128)
    out.write(_header(sectors, 0).ljust(SECTOR, b"\0"))
    out.write(_descriptor(sectors, identity).ljust((OVERHEAD - 1) * SECTOR, b"\0"))
    directory = array("I", bytes(4 * -(-grains // ENTRIES)))
    table = array("I", bytes(4 * ENTRIES))
    current = 0
    parts = list(_parts(content))
    for (first, _), made in zip(parts, make(parts), strict=True):
        for number, grain in enumerate(made, first):
            if number // ENTRIES != current:
                directory[current] = _table(out, table)
                current = number // ENTRIES
                table = array("I", bytes(4 * ENTRIES))
            if grain.length:
                table[number % ENTRIES] = out.tell() // SECTOR
                out.extend((grain,))
    directory[current] = _table(out, table)
    _marker(out, MARKER_DIRECTORY, -(-len(directory) * 4 // SECTOR))
    place = out.tell() // SECTOR
    _padded(out, words(directory, "little"))
    _marker(out, MARKER_FOOTER, 1)
    out.write(_header(sectors, place).ljust(SECTOR, b"\0"))
    _marker(out, MARKER_END, 0)


def _parts(content: Content) -> Iterator[tuple[int, Content]]:
    """The parts of the disk that hold data, with the numbers of their first grains: each ends at a multiple of PART."""
    for run, pieces in held(content, GRAIN):
        number = run.first
        while number < run.end:
            end = min(run.end, (number // PART + 1) * PART)
            start, rest = (number - run.first) * GRAIN, length(pieces) - (number - run.first) * GRAIN
            yield number, cut(pieces, start, min((end - number) * GRAIN, rest))
            number = end


def packed(deflate: Deflate, part: tuple[int, bytes]) -> list[bytes]:
    """The grains of a part (the number of its first, its bytes) as they stand in the file; of zeros nothing."""
    first, data = part
    grains = [data[start : start + GRAIN] for start in range(0, len(data), GRAIN)]
    return [_grain(deflate, number, grain) if grain.strip(b"\0") else b"" for number, grain in enumerate(grains, first)]


def _grain(deflate: Deflate, number: int, data: bytes) -> bytes:
    stream = _stream(deflate, data.ljust(GRAIN, b"\0"))
    return pack("<QI", number * 128, len(stream)) + stream + bytes(-(12 + len(stream)) % SECTOR)


def _stream(deflate: Deflate, data: bytes) -> bytes:
    """The zlib stream of a grain: not compressed, if its middle does not look as if that would help."""
    middle = data[(len(data) - SAMPLE) // 2 :][:SAMPLE]
    if len(deflate(middle)) < SAMPLE - SAMPLE // 16:
        return deflate(data)
    blocks = [data[at : at + STORED] for at in range(0, len(data), STORED)]
    stored = [pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks]
    return b"\x78\x01" + b"".join(stored) + pack(">I", zlib.adler32(data))


def _header(sectors: int, directory: int) -> bytes:
    """The sparse extent's header, which comes again as the footer, with the place of the grain directory."""
    return pack(
        "<4sIIQQQQIQQQBccccH",
        b"KDMV", 3, FLAGS, -(-sectors // 128) * 128, 128, 1, 20, ENTRIES, 0, directory or AT_END, OVERHEAD,
        0, b"\n", b" ", b"\r", b"\n", 1,
    )  # fmt: skip


def _descriptor(sectors: int, identity: int) -> bytes:
    heads, track = 255, 63
    return f"""# Disk DescriptorFile
version=1
CID={identity:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {-(-sectors // 128) * 128} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{min(65535, sectors // heads // track)}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{track}"
ddb.virtualHWVersion = "7"
""".encode()


def _table(out: Sink, table: array[int]) -> int:
    """Write a grain table, if it names any grain; the sector where it is, or 0."""
    if not any(table):
        return 0
    _marker(out, MARKER_TABLE, ENTRIES * 4 // SECTOR)
    place = out.tell() // SECTOR
    out.write(words(table, "little"))
    return place


def _marker(out: Sink, kind: int, sectors: int) -> None:
    out.write(pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0"))


def _padded(out: Sink, data: bytes) -> None:
    out.write(data + bytes(-len(data) % SECTOR))
