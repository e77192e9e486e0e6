"""Parts that all disks share: sizes in the units of a spec, and an identity that follows from the content."""

from __future__ import annotations

import hashlib
import re
import uuid

from pipeline.model.tree import Content, length
from pipeline.writers import FormatError

SECTOR = 512
MIB = 1 << 20
UNITS = {"": MIB, "M": MIB, "G": 1 << 30, "T": 1 << 40}
"""A bare number counts MiB, as in LinuxKit."""
LARGEST = 2 << 40
"""Maximum size of a disk or partition in a spec, in bytes: 2 TiB, the reach of a boot record's 32-bit sector numbers
(UEFI 2.10, 5.2.1)."""


def size(unsafe_text: str | int | None, above: int = 2 * MIB) -> int | None:
    """Returns the bytes of `1024`, `1024M`, `2G` or `1T`; None for None. FormatError for anything else.

    above: exclusive minimum; the tables of a disk take 2 MiB.
    """
    if unsafe_text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,7})(M|G|T|)i?B?", str(unsafe_text))
    count = int(match[1]) * UNITS[match[2]] if match else 0
    if not above < count <= LARGEST:
        least = above // MIB
        raise FormatError(
            f"size {unsafe_text!r}: wanted MiB (1024M), GiB (2G) or TiB, more than {least}M and at most 2T"
        )
    return count


def check(content: Content, largest: int, image: str) -> None:
    """Refuses a disk that `image`, which has room for `largest` bytes, cannot hold: FormatError."""
    if (size := length(content)) > largest:
        raise FormatError(f"a disk of {size} bytes; {image} has room for {largest}: make it smaller (build.size)")


def identity(purpose: str, *contents: Content) -> uuid.UUID:
    """A UUID (RFC 9562, version 8) that follows from `contents`, another one for each `purpose`.

    Contents are named by where their bytes are in the store, so none of them is read.
    """
    places = [[(str(piece.blob), piece.offset, piece.length) for piece in content] for content in contents]
    value = bytearray(hashlib.sha256(repr((purpose, places)).encode()).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))
