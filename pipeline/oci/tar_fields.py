"""Fields of a tar header: numbers and texts of fixed width."""

from __future__ import annotations

from pipeline.oci.error import Refusal


def number(field: bytes) -> int:
    """Parses octal digits, or base-256 where the first bit is set. The result may be negative."""
    text = field.strip(b" \0")
    if text.isdigit():
        return _octal(text)
    if not text:
        return 0
    if field[0] == 0x80 or field[0] == 0xFF:
        value = int.from_bytes(field[1:], "big") - (0 if field[0] == 0x80 else 1 << 8 * (len(field) - 1))
        if not -(1 << 63) <= value < 1 << 63:
            raise Refusal(f"{field!r} needs more than 64 bits")
        return value
    return _octal(text.partition(b"\0")[0].rstrip(b" "))


def _octal(text: bytes) -> int:
    try:
        if text.isdigit():
            return int(text, 8)
    except ValueError:
        pass
    raise Refusal(f"{text!r} is not an octal number")


def text(field: bytes) -> str:
    """Decodes the bytes before the first NUL as UTF-8; other bytes become surrogates."""
    return decode(field.partition(b"\0")[0])


def decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def blocks(size: int) -> int:
    """Rounds `size` up to whole blocks of 512 bytes."""
    return size + 511 & -512
