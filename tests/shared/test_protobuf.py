"""protobuf: the specification's examples, the way there and back, and bytes that are no message."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shared.protobuf import MalformedMessage, Message, field, optional, varint

VALUES = st.one_of(st.integers(0, (1 << 64) - 1), st.binary(max_size=300))
FIELDS = st.lists(st.tuples(st.integers(1, (1 << 29) - 1), VALUES), max_size=8)


def test_the_examples_of_the_specification() -> None:
    assert varint(1) == b"\x01" and varint(150) == b"\x96\x01" and field(1, 150) == b"\x08\x96\x01"
    assert field(2, "testing") == b"\x12\x07testing"
    assert field(3, field(1, 150)) == b"\x1a\x03\x08\x96\x01"


def test_defaults_are_written_only_in_repeated_fields() -> None:
    assert optional(1, 0) == optional(2, b"") == optional(3, "") == b""
    assert field(2, b"") == b"\x12\x00" and Message.parse(field(2, b"") * 2).records(2) == [b"", b""]


def test_the_last_value_counts_and_a_missing_one_is_the_default() -> None:
    message = Message.parse(field(1, 5) + field(1, 6) + field(2, "a") + field(2, "b"))
    assert (message.integer(1), message.text(2), message.integer(9), message.record(9)) == (6, "b", 0, b"")
    assert message.message(9).integer(1) == 0 and message.messages(9) == []


def test_an_int64_may_be_negative_and_values_of_fixed_length_are_passed_over() -> None:
    minus_one = b"\x08" + b"\xff" * 9 + b"\x01"
    message = Message.parse(b"\x11" + bytes(8) + b"\x1d" + bytes(4) + minus_one)
    assert message.integer(1) == -1 and message.records(2) == []


@given(FIELDS)
def test_what_was_encoded_is_decoded(fields: list[tuple[int, int | bytes]]) -> None:
    message = Message.parse(b"".join(field(number, value) for number, value in fields))
    for number in {number for number, _ in fields}:
        value = [value for name, value in fields if name == number][-1]
        if isinstance(value, int):
            assert message.integer(number) % (1 << 64) == value
        else:
            assert message.record(number) == value


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x08" + b"\xff" * 10, b"\x08" + b"\xff" * 9 + b"\x02", b"\x12\x05abc", b"\x0b", b"\x00\x01", b"\x09ab"],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Message.parse(data)


def test_a_field_of_another_type_is_refused() -> None:
    message = Message.parse(field(1, 5) + field(2, b"\xff"))
    for look in (lambda: message.record(1), lambda: message.integer(2), lambda: message.text(2)):
        with pytest.raises(MalformedMessage):
            look()
    with pytest.raises(MalformedMessage):
        message.records(1)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        Message.parse(data)
