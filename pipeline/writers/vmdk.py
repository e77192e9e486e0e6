"""VMDK disk images in the stream-optimised form: compressed grains, as an OVA carries them and ESXi imports them.

Source: VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents". The file is: header, descriptor,
grains with the tables that name them, directory, footer. Grains that are all zeros are left out.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from struct import pack

from pipeline.inorder import InOrder
from pipeline.tree import Content, Read, Sink, length
from pipeline.writers.extents import held, words

VERSION = 2
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
ZEROS = bytes(GRAIN)
SAMPLE = 4096
"""Bytes of a grain that are tried: most of a node's disk is compressed already."""
STORED = 65535
"""Bytes of a block that is not compressed (RFC 1951, 3.2.4)."""
Deflate = Callable[[bytes], bytes]
"""zlib streams (RFC 1950), always the same for the same bytes."""


def write(content: Content, read: Read, out: Sink, deflate: Deflate, identity: int) -> None:
    """Write the raw disk `content` (a multiple of 512 bytes), read through `read`. `identity` is the 32-bit CID."""
    sectors = length(content) // SECTOR
    grains = -(-sectors // 128)
    out.write(_header(sectors, 0).ljust(SECTOR, b"\0"))
    out.write(_descriptor(sectors, identity).ljust((OVERHEAD - 1) * SECTOR, b"\0"))
    directory = array("I", bytes(4 * -(-grains // ENTRIES)))
    table = array("I", bytes(4 * ENTRIES))
    current = 0

    def take(number: int, packed: bytes) -> None:
        nonlocal current, table
        if number // ENTRIES != current:
            directory[current] = _table(out, table)
            current = number // ENTRIES
            table = array("I", bytes(4 * ENTRIES))
        table[number % ENTRIES] = out.tell() // SECTOR
        _padded(out, pack("<QI", number * 128, len(packed)) + packed)

    with InOrder(partial(_packed, deflate)) as threads:
        for number, data in _grains(content, read):
            threads.submit(data, partial(take, number))
    directory[current] = _table(out, table)
    _marker(out, MARKER_DIRECTORY, -(-len(directory) * 4 // SECTOR))
    place = out.tell() // SECTOR
    _padded(out, words(directory, "little"))
    _marker(out, MARKER_FOOTER, 1)
    out.write(_header(sectors, place).ljust(SECTOR, b"\0"))
    _marker(out, MARKER_END, 0)


def _packed(deflate: Deflate, data: bytes) -> bytes:
    """The zlib stream of a grain: not compressed, if its middle does not look as if that would help."""
    middle = data[(len(data) - SAMPLE) // 2 :][:SAMPLE]
    if len(deflate(middle)) < SAMPLE - SAMPLE // 16:
        return deflate(data)
    blocks = [data[at : at + STORED] for at in range(0, len(data), STORED)]
    stored = [pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks]
    return b"\x78\x01" + b"".join(stored) + pack(">I", zlib.adler32(data))


def _grains(content: Content, read: Read) -> Iterator[tuple[int, bytes]]:
    """The grains that are not all zeros, with their numbers."""
    for run, pieces in held(content, GRAIN):
        number, rest = run.first, b""
        for chunk in read(pieces):
            rest += chunk
            whole = len(rest) - len(rest) % GRAIN
            for start in range(0, whole, GRAIN):
                if (grain := rest[start : start + GRAIN]) != ZEROS:
                    yield number + start // GRAIN, grain
            number, rest = number + whole // GRAIN, rest[whole:]
        if rest.strip(b"\0"):
            yield number, rest.ljust(GRAIN, b"\0")


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
