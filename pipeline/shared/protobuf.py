"""Protocol Buffers' wire format: messages encoded and decoded field by field, without generated code.

Source: Protocol Buffers, "Encoding" (varints, tags, length-delimited records; the last value of a field counts).
"""

from __future__ import annotations

from typing import Self

VARINT_BYTES = 10
"""Maximum length of a varint, in bytes: 64 bits, seven in each byte."""

_VARINT, _FIXED64, _RECORD, _FIXED32 = 0, 1, 2, 5
"""Wire types; the two others are groups, which proto3 does not have."""
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
"""Wire type -> length in bytes."""


class MalformedMessage(ValueError):
    """Bytes that are not a message, or a field of another type than expected."""


def varint(number: int) -> bytes:
    """Returns `number` (0 to 2**64 - 1) in groups of seven bits, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, value: int | bytes | str) -> bytes:
    """Returns field `number` of a message: an unsigned integer, or a record (bytes, a text, an encoded message)."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    record = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _RECORD) + varint(len(record)) + record


def optional(number: int, value: int | bytes | str) -> bytes:
    """Returns the field as `field` does; nothing for 0 and for an empty record, which are the defaults of proto3."""
    return field(number, value) if value else b""


class Message:
    """A decoded message: the values of its fields by number, in their order. Values of fixed length are left out."""

    def __init__(self, values: dict[int, list[int | bytes]]) -> None:
        self._values = values

    @classmethod
    def parse(cls, unsafe_data: bytes) -> Self:
        """Decodes `unsafe_data`. MalformedMessage."""
        values: dict[int, list[int | bytes]] = {}
        position = 0
        while position < len(unsafe_data):
            tag, position = _varint(unsafe_data, position)
            number, wire_type = tag >> 3, tag & 7
            if not number:
                raise MalformedMessage("a field has the number 0")
            if wire_type == _VARINT:
                integer, position = _varint(unsafe_data, position)
                values.setdefault(number, []).append(integer)
                continue
            record, position = _record(unsafe_data, position, wire_type)
            if wire_type == _RECORD:
                values.setdefault(number, []).append(record)
        return cls(values)

    def integer(self, number: int) -> int:
        """Returns the last value of an int32 or int64, 0 without one. MalformedMessage."""
        value = self._last(number, 0)
        if not isinstance(value, int):
            raise MalformedMessage(f"field {number} is not an integer")
        return value - (1 << 64) if value >> 63 else value

    def record(self, number: int) -> bytes:
        """Returns the last record, empty without one. MalformedMessage."""
        value = self._last(number, b"")
        if isinstance(value, int):
            raise MalformedMessage(f"field {number} is not a record")
        return value

    def text(self, number: int) -> str:
        """Returns the last record as UTF-8 text, empty without one. MalformedMessage."""
        try:
            return self.record(number).decode()
        except UnicodeDecodeError:
            raise MalformedMessage(f"field {number} is not UTF-8") from None

    def message(self, number: int) -> Message:
        """Returns the last record as a message, an empty one without it. MalformedMessage."""
        return Message.parse(self.record(number))

    def messages(self, number: int) -> list[Message]:
        """Returns all records of a repeated field as messages. MalformedMessage."""
        return [Message.parse(record) for record in self.records(number)]

    def records(self, number: int) -> list[bytes]:
        """Returns all records of a repeated field. MalformedMessage."""
        values = self._values.get(number, [])
        records = [value for value in values if isinstance(value, bytes)]
        if len(records) != len(values):
            raise MalformedMessage(f"field {number} is not a record")
        return records

    def _last(self, number: int, default: int | bytes) -> int | bytes:
        return self._values.get(number, [default])[-1]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns the varint at `position`, and the position behind it. MalformedMessage."""
    number = 0
    for index, byte in enumerate(data[position : position + VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if number >> 64:
                break
            return number, position + index + 1
    raise MalformedMessage(f"no varint at byte {position}")


def _record(data: bytes, position: int, wire_type: int) -> tuple[bytes, int]:
    """Returns the value of fixed or stated length at `position`, and the position behind it. MalformedMessage."""
    if wire_type == _RECORD:
        length, position = _varint(data, position)
    elif wire_type in _FIXED_BYTES:
        length = _FIXED_BYTES[wire_type]
    else:
        raise MalformedMessage(f"wire type {wire_type} at byte {position}")
    if length > len(data) - position:
        raise MalformedMessage(f"{length} bytes are missing at byte {position}")
    return data[position : position + length], position + length
