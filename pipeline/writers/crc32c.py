"""CRC-32C (Castagnoli), the checksum of ext4's metadata, without the usual inversions before and after.

Source: RFC 3720, appendix B.4 (the polynomial); kernel, lib/crc32 (`crc32c_le`, whose start value is the caller's).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from struct import pack, unpack, unpack_from

ONES = 0xFFFFFFFF
"""The usual start value, and the usual inversion at the end."""
POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41 with its bits in the order in which they are processed."""


LONG_RUN = 256
"""Number of trailing zeros, in a directory's block for example, from which skipping them at once is faster."""
FEW, MANY = 8, 8192
"""Number of rows below which one by one is faster, and maximum number that is processed together."""


def crc32c(crc: int, data: bytes | bytearray) -> int:
    """`crc` carried on over `data`: four bytes a step."""
    zeros = len(data) - len(data.rstrip(b"\0"))
    end = len(data) - (zeros & ~3 if zeros >= LONG_RUN else 0)
    low, high = _tables(4, 16)
    for word in unpack_from(f"<{end // 4}I", data):
        word ^= crc
        crc = low[word & 0xFFFF] ^ high[word >> 16]
    one = _tables(1, 8)[0]
    for byte in data[end & ~3 : end]:
        crc = one[crc & 0xFF ^ byte] ^ crc >> 8
    return _product(crc, _power(8 * (len(data) - end))) if end < len(data) else crc


def crc32c_each(crcs: Sequence[int], rows: Sequence[bytes], size: int) -> list[int]:
    """Returns the `crc32c` of every row, each from its own start value; a step takes one byte of many rows.

    Rows have at most `size` bytes; shorter ones end in zeros.
    """
    alike: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        alike.setdefault(1 << (len(row) - 1).bit_length(), []).append(number)
    result = [0] * len(rows)
    for length, numbers in alike.items():
        width = min(length, size)
        for start in range(0, len(numbers), MANY):
            batch = numbers[start : start + MANY]
            if len(batch) < FEW:
                sums = [crc32c(crcs[number], rows[number].ljust(size, b"\0")) for number in batch]
            else:
                data = b"".join([rows[number].ljust(width, b"\0") for number in batch])
                sums = _over_zeros(_columns([crcs[number] for number in batch], data, width), size - width)
            for number, crc in zip(batch, sums, strict=True):
                result[number] = crc
    return result


def _columns(crcs: Sequence[int], rows: bytes, width: int) -> list[int]:
    """Returns the checksums of rows of `width` bytes. All checksums are one integer, which starts with the lowest byte
    of each."""
    count = len(crcs)
    data, lowest, tables = pack(f"<{count}I", *crcs), (1 << 8 * count) - 1, _translations()
    state = int.from_bytes(b"".join([data[byte::4] for byte in range(4)]), "little")
    zeros, nothing = 0, bytes(count)
    for place in range(width):
        column = rows[place::width]
        if column == nothing:
            zeros += 1
            continue
        state, zeros = _stepped(state, count, zeros), 0
        mixed = (state & lowest ^ int.from_bytes(column, "little")).to_bytes(count, "little")
        steps = b"".join([mixed.translate(table) for table in tables])
        state = state >> 8 * count ^ int.from_bytes(steps, "little")
    result, data = bytearray(4 * count), _stepped(state, count, zeros).to_bytes(4 * count, "little")
    for byte in range(4):
        result[byte::4] = data[byte * count : (byte + 1) * count]
    return list(unpack(f"<{count}I", result))


def _stepped(state: int, count: int, zeros: int) -> int:
    """Steps the `count` checksums in `state` over columns of zeros."""
    if not zeros:
        return state
    data, result = state.to_bytes(4 * count, "little"), 0
    for byte, tables in enumerate(_leaps(zeros)):
        part = data[byte * count : (byte + 1) * count]
        result ^= int.from_bytes(b"".join([part.translate(table) for table in tables]), "little")
    return result


def _over_zeros(crcs: list[int], count: int) -> list[int]:
    """Steps checksums over `count` zeros."""
    if not count:
        return crcs
    low, second, third, high = _tables(count, 8)
    return [low[c & 255] ^ second[c >> 8 & 255] ^ third[c >> 16 & 255] ^ high[c >> 24] for c in crcs]


def _product(one: int, other: int) -> int:
    """Multiplies two polynomials modulo POLYNOMIAL; their highest power of x is the lowest bit."""
    result = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            result ^= other
        other = other >> 1 ^ (POLYNOMIAL if other & 1 else 0)
    return result


@cache
def _power(exponent: int) -> int:
    """Returns x to the power of `exponent`: the factor of a checksum that this many zero bits follow."""
    half = _power(exponent // 2) if exponent > 1 else 1 << 31
    square = _product(half, half)
    return _product(square, 1 << 30) if exponent & 1 else square


@cache
def _translations() -> list[bytes]:
    """Returns the four bytes, from the lowest, that a byte adds to the checksum, as tables for `bytes.translate`."""
    return _split(_tables(1, 8)[0])


@cache
def _leaps(zeros: int) -> list[list[bytes]]:
    """Returns such tables for each byte of a checksum, from the lowest, stepped over `zeros` zeros."""
    return [_split(table) for table in _tables(zeros, 8)]


def _split(table: Sequence[int]) -> list[bytes]:
    data = pack("<256I", *table)
    return [data[byte::4] for byte in range(4)]


@cache
def _tables(zeros: int, bits: int) -> list[list[int]]:
    """Returns tables that step `bits` bits of a checksum each, from the lowest, over `zeros` zeros; the checksum is
    their sum."""
    factor = _power(8 * zeros)
    tables = []
    for start in range(0, 32, bits):
        table = [0]
        for bit in range(start, start + bits):
            part = _product(1 << bit, factor)
            table += [part ^ other for other in table]
        tables.append(table)
    return tables
