"""CBOR: the encoding of COSE (RFC 8949), in the one form that deterministic encoding allows (4.2.1).

Integers, byte and text strings, arrays, maps with integers and texts as keys, tags, false, true and null are read;
each of definite length, in its shortest form, keys sorted by their encodings. All else is refused: so no two encodings
are read as one value, and `encode(decode(data)) == data`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from pipeline.trust.error import SignatureRefusal

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""Major types (3.1)."""
CONSTANTS: Final = {0xF4: False, 0xF5: True, 0xF6: None}
"""Initial bytes of simple values (3.3)."""
LARGEST = 1 << 22
"""Maximum size of a document, in bytes."""
DEEPEST = 8
"""Maximum depth of arrays, maps and tags in each other; an envelope has 4."""
MOST_ITEMS = 1 << 12
"""Maximum number of data items in a document; an envelope has some 40."""


class Tag(NamedTuple):
    """A tagged value (3.4)."""

    number: int
    value: Value


Key: TypeAlias = int | str
Value: TypeAlias = int | bytes | str | bool | list["Value"] | dict[Key, "Value"] | Tag | None


def decode(unsafe_data: bytes) -> Value:
    """Returns the one data item that `unsafe_data` is. SignatureRefusal if it is none, or something follows."""
    if len(unsafe_data) > LARGEST:
        raise SignatureRefusal(f"CBOR of more than {LARGEST} bytes")
    reader = _Reader(unsafe_data)
    value = reader.item(0)
    if reader.at != len(unsafe_data):
        raise SignatureRefusal(f"{len(unsafe_data) - reader.at} bytes follow the CBOR")
    return value


def encode(value: Value) -> bytes:
    """Returns the deterministic encoding of `value`."""
    match value:
        case None | bool():
            return bytes(first for first, constant in CONSTANTS.items() if constant is value)
        case int():
            return _head(UNSIGNED, value) if value >= 0 else _head(NEGATIVE, -1 - value)
        case bytes():
            return _head(BYTES, len(value)) + value
        case str():
            return _head(TEXT, len(value.encode())) + value.encode()
        case Tag():
            return _head(TAG, value.number) + encode(value.value)
        case list():
            return _head(ARRAY, len(value)) + b"".join(map(encode, value))
    pairs = sorted((encode(key), encode(each)) for key, each in value.items())
    return _head(MAP, len(pairs)) + b"".join(key + each for key, each in pairs)


def _head(major: int, argument: int) -> bytes:
    """Returns the initial byte of a data item and its argument (3), which has fewer than 65 bits."""
    if argument < 24:
        return bytes([major << 5 | argument])
    width = next(width for width in range(4) if argument < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + argument.to_bytes(1 << width, "big")


class _Reader:
    """A document, read from its start. at: offset of the next byte. items: number of data items until there."""

    def __init__(self, unsafe_data: bytes) -> None:
        self.data, self.at, self.items = unsafe_data, 0, 0

    def item(self, depth: int) -> Value:
        """Returns the data item that comes next, in `depth` others."""
        self.items += 1
        if depth > DEEPEST or self.items > MOST_ITEMS:
            raise SignatureRefusal(f"CBOR deeper than {DEEPEST}, or of more than {MOST_ITEMS} items")
        initial = self.take(1)[0]
        major = initial >> 5
        if major == SIMPLE:
            if initial not in CONSTANTS:
                raise SignatureRefusal(f"CBOR: a float or simple value ({initial:#04x}) in an envelope")
            return CONSTANTS[initial]
        argument = self.argument(initial & 0x1F)
        match major:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                return self.take(argument)
            case 3:
                return self.text(argument)
            case 4:
                return [self.item(depth + 1) for _ in range(argument)]
            case 5:
                return self.map(argument, depth + 1)
        return Tag(argument, self.item(depth + 1))

    def argument(self, information: int) -> int:
        """Returns the argument of a head (3), which has to be in its shortest form."""
        if information < 24:
            return information
        if information > 27:
            raise SignatureRefusal("CBOR: an indefinite or reserved length")
        width = information - 24
        argument = int.from_bytes(self.take(1 << width), "big")
        if argument < (24 if not width else 1 << (4 << width)):
            raise SignatureRefusal("CBOR: a number that is not in its shortest form")
        return argument

    def take(self, size: int) -> bytes:
        """Returns the next `size` bytes."""
        if size > len(self.data) - self.at:
            raise SignatureRefusal("CBOR that ends within an item")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise SignatureRefusal("CBOR: a text that is not UTF-8") from None

    def map(self, count: int, depth: int) -> dict[Key, Value]:
        """Returns a map of `count` pairs, whose keys have to be sorted by their encodings, and different."""
        pairs: dict[Key, Value] = {}
        last = b""
        for _ in range(count):
            start = self.at
            key = self.item(depth)
            encoding = self.data[start : self.at]
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise SignatureRefusal("CBOR: a key that is neither integer nor text")
            if encoding <= last:
                raise SignatureRefusal(f"CBOR: the key {str(key)[:80]!r} is there twice, or not in its place")
            pairs[key], last = self.item(depth), encoding
        return pairs
