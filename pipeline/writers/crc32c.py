"""CRC-32C (Castagnoli), the checksum of ext4's metadata, without the inversions that other uses put around it.

Source: RFC 3720, appendix B.4 (the polynomial); kernel, lib/crc32 (`crc32c_le`, whose start value is the caller's).
"""

from __future__ import annotations

from functools import cache
from struct import unpack_from

ONES = 0xFFFFFFFF
"""What to start with, and how the usual checksum is inverted at the end."""
POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41 with its bits in the order in which they are processed."""


LONG_RUN = 256
"""So many zeros at the end, of a directory's block say, are faster stepped over at once."""


def crc32c(crc: int, data: bytes | bytearray) -> int:
    """`crc` carried on over `data`: four bytes a step."""
    zeros = len(data) - len(data.rstrip(b"\0"))
    end = len(data) - (zeros & ~3 if zeros >= LONG_RUN else 0)
    low, high = _tables()
    for word in unpack_from(f"<{end // 4}I", data):
        word ^= crc
        crc = low[word & 0xFFFF] ^ high[word >> 16]
    for byte in data[end & ~3 : end]:
        crc = _byte(crc & 0xFF ^ byte) ^ crc >> 8
    return _product(crc, _power(8 * (len(data) - end))) if end < len(data) else crc


def _product(one: int, other: int) -> int:
    """Of two polynomials, modulo POLYNOMIAL; their highest power of x is the lowest bit."""
    result = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            result ^= other
        other = other >> 1 ^ (POLYNOMIAL if other & 1 else 0)
    return result


@cache
def _power(exponent: int) -> int:
    """x to the power of `exponent`: what multiplies a checksum when that many zero bits follow."""
    half = _power(exponent // 2) if exponent > 1 else 1 << 31
    square = _product(half, half)
    return _product(square, 1 << 30) if exponent & 1 else square


@cache
def _byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc


@cache
def _tables() -> tuple[list[int], list[int]]:
    """What the lower and the upper half of a word become four bytes later."""
    one = [_byte(byte) for byte in range(256)]
    high = []
    for half in range(1 << 16):
        half = one[half & 0xFF] ^ half >> 8
        high.append(one[half & 0xFF] ^ half >> 8)
    return [high[value & 0xFFFF] ^ value >> 16 for value in high], high
