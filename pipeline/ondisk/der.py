"""DER: the encoding of certificates and signatures (ITU-T X.690, 8 and 10).

Elements are read one level at a time, without recursion. What is not the one encoding that DER allows is refused.
"""

from __future__ import annotations

from typing import NamedTuple

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x05, 0x06
SEQUENCE, SET = 0x30, 0x31
LONGEST = 1 << 24
"""Maximum length of an element, in bytes: certificates and signatures have some kilobytes."""


class Element(NamedTuple):
    """An element. tag: its identifier octet. content: its contents octets. encoding: both, with the length."""

    tag: int
    content: bytes
    encoding: bytes


def encode(tag: int, *parts: bytes) -> bytes:
    """Returns the element `tag` whose contents octets are `parts`, one after another."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def set_of(tag: int, *elements: bytes) -> bytes:
    """Returns a SET OF `elements`, which DER sorts by their encodings (11.6)."""
    return encode(tag, *sorted(elements))


def integer(value: int) -> bytes:
    """Returns an INTEGER that is not negative."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def identifier(dotted: str) -> bytes:
    """Returns the OBJECT IDENTIFIER `dotted` (1.2.840…)."""
    first, second, *rest = map(int, dotted.split("."))
    return encode(OBJECT_IDENTIFIER, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def read(data: bytes) -> Element:
    """Returns the one element that `data` is. ValueError if it is none, or something follows."""
    element = _first(data, 0)
    if len(element.encoding) != len(data):
        raise ValueError(f"{len(data) - len(element.encoding)} bytes follow the element")
    return element


def first(data: bytes) -> Element:
    """Returns the element that `data` starts with. ValueError if there is none."""
    return _first(data, 0)


def children(data: bytes) -> list[Element]:
    """Returns the elements in contents octets `data`. ValueError if it is anything else."""
    elements, at = [], 0
    while at < len(data):
        elements.append(_first(data, at))
        at += len(elements[-1].encoding)
    return elements


def expect(element: Element, tag: int) -> bytes:
    """Returns the contents octets of `element`. ValueError if it has another tag."""
    if element.tag != tag:
        raise ValueError(f"an element with tag {element.tag:#04x} where {tag:#04x} belongs")
    return element.content


def _base128(arc: int) -> bytes:
    """Returns an arc of an object identifier (8.19.2)."""
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))


def _first(data: bytes, at: int) -> Element:
    if len(data) < at + 2:
        raise ValueError("it ends within an element")
    tag, size, start = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise ValueError("a tag of several octets")
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(data[start : start + count], "big")
        if len(data) < start + count or size < 0x80 or count != (size.bit_length() + 7) // 8 or size > LONGEST:
            raise ValueError("a length that DER does not allow")
        start += count
    if len(data) < start + size:
        raise ValueError("it ends within an element")
    return Element(tag, data[start : start + size], data[at : start + size])
