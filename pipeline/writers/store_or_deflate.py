"""Deflate streams of mostly compressed data: what samples show not to become smaller is stored.

Source: RFC 1951, 3.2.4 (stored blocks); RFC 1950 (zlib), RFC 1952 (gzip).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from struct import pack

VERSION = 2
STRETCH, SAMPLE = 64 << 10, 4 << 10
"""The middle of each stretch of so many bytes is tried."""
GAIN = 16
"""Samples have to become smaller by one part in so many."""
STORED = 65535
"""Bytes of a block that is not compressed."""
PAGE = 4096
"""Unit of a gzip member's size, in bytes, so that a change seldom moves the members after it."""
LONG = 16 * PAGE
"""The size from which that is worth an extra field (RFC 1952, 2.3.1.1)."""
EXTRA, EXTRA_ID = 0x04, b"NK"

Compress = Callable[[bytes], bytes]
"""Makes a whole stream of the same kind, always the same of the same bytes."""


def zlib_stream(compress: Compress, data: bytes) -> bytes:
    """`data` as a zlib stream: that of `compress`, or stored."""
    if _worthwhile(compress, data):
        return compress(data)
    return b"\x78\x01" + _store(data) + pack(">I", zlib.adler32(data))


def gzip_member(compress: Compress, data: bytes) -> bytes:
    """`data` (less than 4 GiB) as a gzip member, of whole PAGEs if it is LONG: that of `compress`, or stored."""
    if _worthwhile(compress, data):
        return _pad(compress(data))
    return _pad(b"\x1f\x8b\x08\0\0\0\0\0\x04\xff" + _store(data) + pack("<II", zlib.crc32(data), len(data)))


def _pad(member: bytes) -> bytes:
    """`member`, which has a header of ten bytes and no flags, with an extra field that fills it up."""
    if len(member) < LONG:
        return member
    rest = -(len(member) + 2 + 4) % PAGE
    field = EXTRA_ID + pack("<H", rest) + bytes(rest)
    return b"".join((member[:3], bytes((EXTRA,)), member[4:10], pack("<H", len(field)), field, member[10:]))


def _worthwhile(compress: Compress, data: bytes) -> bool:
    starts = range((STRETCH - SAMPLE) // 2, len(data), STRETCH)
    samples = b"".join([data[at : at + SAMPLE] for at in starts])
    return not samples or len(compress(samples)) < len(samples) - len(samples) // GAIN


def _store(data: bytes) -> bytes:
    blocks = [data[at : at + STORED] for at in range(0, len(data), STORED)]
    headers = [pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) for block in blocks]
    return b"".join([part for pair in zip(headers, blocks, strict=True) for part in pair])
