"""CRC-32C, byte by byte and many at a time."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.writers import crc32c as module
from pipeline.writers.crc32c import ONES, crc32c


def plain(data: bytes, crc: int) -> int:
    """The checksum by its definition (RFC 3720, appendix B.4), without a final inversion."""
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


@given(st.binary(max_size=300), st.sampled_from([0, ONES, 0x12345678]))
def test_it_is_the_one_of_the_specification(data, start):
    assert crc32c(start, data) == plain(data, start)


def test_the_check_value_is_known():
    assert crc32c(ONES, b"123456789") ^ ONES == 0xE3069283
    assert module.POLYNOMIAL == 0x82F63B78
