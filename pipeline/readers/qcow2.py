"""qcow2 disk images, versions 2 and 3, without backing files or encryption (QEMU, docs/interop/qcow2.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.ondisk import qcow2 as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import CompressedBlock, ConcatView, View, ViewSlice

KNOWN = ondisk.DIRTY | ondisk.CORRUPT | ondisk.COMPRESSION_TYPE


def recognises(view: View) -> bool:
    return view.read(0, 4) == ondisk.MAGIC and view.read(4, 4) in (b"\0\0\0\2", b"\0\0\0\3")


def read(view: View) -> Listing:
    """Lists `disk`: the guest's view."""
    data = view.read(0, ondisk.HEADER.size)
    version = data[len(ondisk.MAGIC) + 3]
    header = ondisk.HEADER.unpack(data[: ondisk.SIZE_2 if version == 2 else None].ljust(ondisk.HEADER.size, b"\0"))
    bits, size, count = header.cluster_bits, header.size, header.l1_size
    zstd = header.header_length > ondisk.SIZE_3 and header.compression_type == ondisk.ZSTD
    foreign = header.backing_file_offset or header.crypt_method or header.incompatible_features & ~KNOWN
    if foreign or not 9 <= bits <= 21 or count * 8 > ondisk.LARGEST_L1:
        raise StructureError("a qcow2 with a backing file, encryption or features that are not known here")
    table = struct.unpack(f">{count}Q", view.read(header.l1_table_offset, count * 8))
    disk = ConcatView(_extents(view, table, 1 << bits, bits, size, zstd))
    features = f"{header.incompatible_features:#x} {header.compatible_features:#x}"
    properties = {"version": version, "cluster": 1 << bits, "size": size, "features": features}
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", properties, None, {"bytes": view.size})}


def _extents(view: View, l1: tuple[int, ...], cluster: int, bits: int, size: int, zstd: bool) -> Iterator[ViewSlice]:
    left = size
    entries = cluster // 8
    if sum(1 for first in l1 if first & ondisk.OFFSET) * cluster > view.size:
        raise StructureError("more tables than there is room for")
    for first in l1:
        offset = first & ondisk.OFFSET
        if not offset:
            yield ViewSlice(None, 0, max(0, min(left, cluster * entries)))
            left -= cluster * entries
            continue
        for entry in struct.unpack(f">{entries}Q", view.read(offset, cluster)):
            if left <= 0:
                return
            yield _extent(view, entry, min(cluster, left), cluster, bits, zstd)
            left -= cluster
    if left > 0:
        yield ViewSlice(None, 0, left)


def _extent(view: View, entry: int, length: int, cluster: int, bits: int, zstd: bool) -> ViewSlice:
    if entry & ondisk.COMPRESSED:
        shift = ondisk.sectors_at(bits)
        offset = entry & ((1 << shift) - 1)
        sectors = (entry >> shift & ((1 << (bits - 8)) - 1)) + 1
        stored = sectors * 512 - offset % 512
        block = CompressedBlock(lambda: _decompress(view.read(offset, stored), cluster, zstd), cluster)
        return ViewSlice(block, 0, length)
    if entry & ondisk.ZERO or not entry & ondisk.OFFSET:
        return ViewSlice(None, 0, length)
    return ViewSlice(view, entry & ondisk.OFFSET, length)


def _decompress(compressed: bytes, size: int, zstd: bool) -> bytes:
    """A compressed cluster: a zstd frame, or raw deflate."""
    if zstd:
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(compressed)
    import zlib

    return zlib.decompressobj(wbits=-15).decompress(compressed, size)


READER = Reader("qcow2", recognises, read)
