"""qcow2 disk images, versions 2 and 3, without backing files or encryption (QEMU, docs/interop/qcow2.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pipeline.readers import HEADER, Listing, Node, Reader, Unreadable
from pipeline.readers.view import Extent, Mosaic, Packed, View

OFFSET = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
ZERO = 1
LARGEST_L1 = 32 << 20
"""Bytes of the first table: QEMU's own limit."""


def recognises(view: View) -> bool:
    return view.read(0, 8) in (b"QFI\xfb\0\0\0\x02", b"QFI\xfb\0\0\0\x03")


def read(view: View) -> Listing:
    """`disk`: what the guest sees."""
    version, backing, _, bits, size, crypt, l1_size, l1 = struct.unpack_from(">IQIIQIIQ", view.read(0, 48), 4)
    incompatible, compatible = struct.unpack(">QQ", view.read(72, 16)) if version == 3 else (0, 0)
    length = int.from_bytes(view.read(100, 4), "big") if version == 3 else 72
    zstd = length > 104 and view.read(104, 1) == b"\1"
    if backing or crypt or incompatible & ~0b1011 or not 9 <= bits <= 21 or l1_size * 8 > LARGEST_L1:
        raise Unreadable("a qcow2 with a backing file, encryption or features that are not known here")
    table = struct.unpack(f">{l1_size}Q", view.read(l1, l1_size * 8))
    disk = Mosaic(_extents(view, table, 1 << bits, bits, size, zstd))
    facts = {"version": version, "cluster": 1 << bits, "size": size, "features": f"{incompatible:#x} {compatible:#x}"}
    return {"disk": Node("disk", {}, disk), HEADER: Node("image", facts, None, {"bytes": view.size})}


def _extents(view: View, l1: tuple[int, ...], cluster: int, bits: int, size: int, zstd: bool) -> Iterator[Extent]:
    left = size
    entries = cluster // 8
    if sum(1 for first in l1 if first & OFFSET) * cluster > view.size:
        raise Unreadable("more tables than there is room for")
    for first in l1:
        offset = first & OFFSET
        if not offset:
            yield Extent(None, 0, max(0, min(left, cluster * entries)))
            left -= cluster * entries
            continue
        for entry in struct.unpack(f">{entries}Q", view.read(offset, cluster)):
            if left <= 0:
                return
            yield _extent(view, entry, min(cluster, left), cluster, bits, zstd)
            left -= cluster
    if left > 0:
        yield Extent(None, 0, left)


def _extent(view: View, entry: int, length: int, cluster: int, bits: int, zstd: bool) -> Extent:
    if entry & COMPRESSED:
        shift = 62 - (bits - 8)
        offset = entry & ((1 << shift) - 1)
        sectors = (entry >> shift & ((1 << (bits - 8)) - 1)) + 1
        packed = sectors * 512 - offset % 512
        return Extent(Packed(lambda: _unpack(view.read(offset, packed), cluster, zstd), cluster), 0, length)
    if entry & ZERO or not entry & OFFSET:
        return Extent(None, 0, length)
    return Extent(view, entry & OFFSET, length)


def _unpack(packed: bytes, size: int, zstd: bool) -> bytes:
    """A compressed cluster: a zstd frame, or raw deflate."""
    if zstd:
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    import zlib

    return zlib.decompressobj(wbits=-15).decompress(packed, size)


READER = Reader("qcow2", recognises, read)
