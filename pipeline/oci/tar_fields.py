"""Fields of a tar header: numbers and texts of fixed width."""

from __future__ import annotations

from pipeline.oci.error import Refusal


def number(field: bytes) -> int:
    """A numeric field: octal digits, or base-256 where the first bit is set. May be negative."""
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
    raise Refusal(f"{text!r} is no octal number")


def text(field: bytes) -> str:
    """What stands before the first NUL; bytes that are no UTF-8 become surrogates."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
