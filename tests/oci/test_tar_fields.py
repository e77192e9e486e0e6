"""Fields of a tar header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci.error import Refusal
from pipeline.oci.tar_fields import number, text
from tests.oci.craft import base256, octal


@given(st.integers(0, 8**7 - 1))
def test_octal_digits_are_a_number_however_they_end(value):
    for field in (b"%07o\0" % value, b"%07o " % value, b" %o\0" % value, octal(value, 8)):
        assert number(field) == value


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_large_and_negative_numbers_are_base_256(value):
    assert number(base256(value, 12)) == value


@pytest.mark.parametrize("field", [b"8", b"-1", b"0x1", b"1.5", b"1 2 \0", b"\x80" + b"\xff" * 11])
def test_anything_else_is_refused(field):
    with pytest.raises(Refusal):
        number(field)


def test_a_text_ends_before_its_nul():
    assert text(b"name\0rest") == "name" and text(b"\xff\0") == "\udcff" and number(b"\0" * 8) == 0
