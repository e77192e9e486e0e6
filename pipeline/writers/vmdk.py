"""VMDK disk images in the stream-optimised form: compressed grains, as an OVA carries them and ESXi imports them.

Source: VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents". The file is: header, descriptor,
grains with the tables that name them, directory, footer. Grains that are all zeros are left out.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator

from pipeline.model.tree import Content, Sink, Slice, length, split
from pipeline.ondisk import vmdk as ondisk
from pipeline.writers import FormatError, disk
from pipeline.writers.extents import allocated, to_bytes
from pipeline.writers.store_or_deflate import Compress, zlib_stream

VERSION = 3
SECTOR = 512
GRAIN = 128 * SECTOR
"""64 KiB."""
LARGEST = (1 << 32) * SECTOR
"""Maximum size of a disk, in bytes: 2 TiB ("Grain Table": numbers of sectors have 32 bits)."""
MOST_SECTORS = (1 << 32) - 1
"""Last sector of the file that a table can name, counted from 0 ("Grain Table"; it is larger than the disk where that
does not become smaller)."""
ENTRIES = 512
"""Grains that one table names."""
OVERHEAD = 128
"""Sectors of header and descriptor; the first grain starts here."""
FLAGS = ondisk.LINE_ENDS | ondisk.COMPRESSED | ondisk.MARKERS
Pack = Callable[[Iterable[tuple[bytes, Content]]], Iterator[Slice]]


def write(content: Content, pack: Pack, out: Sink, identity: int) -> None:
    """Writes the raw disk `content` (a multiple of 512 bytes). identity: the 32-bit CID.

    pack: compresses grains with `compress_grain`, in order. FormatError for more than LARGEST, and for more than the
    tables reach.
    """
    disk.check(content, LARGEST, "a VMDK")
    sectors = length(content) // SECTOR
    grains = -(-sectors // 128)
    out.write(_header(sectors, 0).ljust(SECTOR, b"\0"))
    out.write(_descriptor(sectors, identity).ljust((OVERHEAD - 1) * SECTOR, b"\0"))
    directory = array("I", bytes(4 * -(-grains // ENTRIES)))
    table = array("I", bytes(4 * ENTRIES))
    current = 0
    numbers, pieces = (number for number, _ in _grains(content)), (_add_head(*grain) for grain in _grains(content))
    for number, stored in zip(numbers, pack(pieces), strict=True):
        if number // ENTRIES != current:
            directory[current] = _table(out, table)
            current = number // ENTRIES
            table = array("I", bytes(4 * ENTRIES))
        if stored.length:
            table[number % ENTRIES] = _sector(out)
            out.extend((stored,))
    directory[current] = _table(out, table)
    _marker(out, ondisk.GRAIN_DIRECTORY, -(-len(directory) * 4 // SECTOR))
    place = out.tell() // SECTOR
    _write_padded(out, to_bytes(directory, "little"))
    _marker(out, ondisk.FOOTER, 1)
    out.write(_header(sectors, place).ljust(SECTOR, b"\0"))
    _marker(out, ondisk.EOS, 0)


def _grains(content: Content) -> Iterator[tuple[int, Content]]:
    """The grains that hold data, with their numbers; the last may be short."""
    for run, pieces in allocated(content, GRAIN):
        yield from enumerate(split(pieces, GRAIN), run.first)


def _add_head(number: int, content: Content) -> tuple[bytes, Content]:
    return ondisk.GRAIN.struct.pack(number * 128, 0), content


def compress_grain(deflate: Compress, grain: bytes) -> bytes:
    """Compresses a grain whose head has the size 0: the head with its size, and a zlib stream, in whole sectors; b""
    for zeros."""
    marker, data = grain[: ondisk.GRAIN.size], grain[ondisk.GRAIN.size :]
    if not data.strip(b"\0"):
        return b""
    stream = zlib_stream(deflate, data.ljust(GRAIN, b"\0"))
    stored = ondisk.GRAIN.pack(lba=ondisk.GRAIN.unpack(marker).lba, size=len(stream)) + stream
    return stored + bytes(-len(stored) % SECTOR)


def _header(sectors: int, directory: int) -> bytes:
    """The sparse extent's header, which comes again as the footer, with the place of the grain directory."""
    return ondisk.HEADER.pack(
        version=3, flags=FLAGS, capacity=-(-sectors // 128) * 128, grainSize=128, descriptorOffset=1, descriptorSize=20,
        numGTEsPerGT=ENTRIES, gdOffset=directory or ondisk.AT_END, overHead=OVERHEAD, compressAlgorithm=ondisk.DEFLATE,
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
    """Writes a grain table, if it names any grain; the sector where it is, or 0."""
    if not any(table):
        return 0
    _marker(out, ondisk.GRAIN_TABLE, ENTRIES * 4 // SECTOR)
    place = _sector(out)
    out.write(to_bytes(table, "little"))
    return place


def _sector(out: Sink) -> int:
    """The sector of the file that is written next."""
    place = out.tell() // SECTOR
    if place > MOST_SECTORS:
        room = f"a VMDK has room for {MOST_SECTORS * SECTOR}"
        raise FormatError(f"compressed data at byte {place * SECTOR} of the file; {room}: make the disk smaller")
    return place


def _marker(out: Sink, kind: int, sectors: int) -> None:
    out.write(ondisk.MARKER.pack(val=sectors, type=kind).ljust(SECTOR, b"\0"))


def _write_padded(out: Sink, data: bytes) -> None:
    out.write(data + bytes(-len(data) % SECTOR))
