"""An empty swap area, as mkswap writes it and swapon(8) accepts it (kernel, include/linux/swap.h, `union
swap_header`)."""

from __future__ import annotations

from struct import pack
from uuid import UUID

from pipeline.model.tree import Sink
from pipeline.writers import FormatError, raw

VERSION = 1
PAGE = 4096
"""Bytes of a page on the processors of nodes."""
FEWEST_PAGES = 10
"""Minimum number of pages that the kernel accepts (mkswap(8))."""
MOST_PAGES = 1 << 32
"""Maximum number of pages: 16 TiB (swap.h, last_page: 32 bits)."""
SIGNATURE = b"SWAPSPACE2"
LONGEST_LABEL = 15
"""Maximum length of a label, in bytes (swap.h, sws_volume: 16 with a NUL)."""


def write(size: int, out: Sink, label: str, identity: UUID) -> None:
    """Writes a swap area of `size` bytes: a header page, and a hole. FormatError for a size or a label that the kernel
    does not accept."""
    if not FEWEST_PAGES <= size // PAGE <= MOST_PAGES:
        room = f"Linux takes {FEWEST_PAGES * PAGE} to {MOST_PAGES * PAGE}"
        raise FormatError(f"a swap area of {size} bytes; {room}: give it another size")
    if len(raw(label)) > LONGEST_LABEL:
        room = f"a swap area has room for {LONGEST_LABEL}"
        raise FormatError(f"label {label!r} of {len(raw(label))} bytes; {room}: shorten it")
    information = pack("<III16s16s", 1, size // PAGE - 1, 0, identity.bytes, raw(label))
    out.write((bytes(1024) + information).ljust(PAGE - len(SIGNATURE), b"\0") + SIGNATURE)
    out.zeros(size - PAGE)
