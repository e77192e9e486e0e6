"""An empty swap area, as mkswap makes it and swapon(8) takes it (kernel, include/linux/swap.h, `union swap_header`)."""

from __future__ import annotations

from struct import pack
from uuid import UUID

from pipeline.tree import Sink
from pipeline.writers import Unwritable, raw

VERSION = 1
PAGE = 4096
"""Of the processors that nodes are made for."""
FEWEST_PAGES = 10
"""The kernel takes no less."""
SIGNATURE = b"SWAPSPACE2"
LONGEST_LABEL = 15


def write(size: int, out: Sink, label: str, identity: UUID) -> None:
    """Write a swap area of `size` bytes: its first page says what it is, the rest is a hole."""
    if size < FEWEST_PAGES * PAGE or len(raw(label)) > LONGEST_LABEL:
        raise Unwritable(
            f"swap {label!r}: wanted {FEWEST_PAGES * PAGE} bytes or more, a label of {LONGEST_LABEL} or less"
        )
    information = pack("<III16s16s", 1, size // PAGE - 1, 0, identity.bytes, raw(label))
    out.write((bytes(1024) + information).ljust(PAGE - len(SIGNATURE), b"\0") + SIGNATURE)
    out.zeros(size - PAGE)
