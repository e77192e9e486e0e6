"""Sizes as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipeline.model.errors import BadInput

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def parse(unsafe_text: str) -> int:
    """Bytes: a number, with K, M, G or T (powers of 1024; `KiB`, `KB` and `k` are the same). BadInput if it is none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", unsafe_text, re.IGNORECASE | re.ASCII)
    if not found:
        raise BadInput(f"{unsafe_text!r} is no size: write 500M or 10G")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def shown(size: float) -> str:
    """`size` bytes with three digits and a unit."""
    unit = 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} B" if not unit else f"{size:.3g} {UNITS[unit]}"


def by_owner(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Owner -> sum of its bytes, the largest first."""
    sums: dict[str, int] = {}
    for owner, size in sizes:
        sums[owner] = sums.get(owner, 0) + size
    return dict(largest_first(sums))


def largest_first(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    """The items of `sizes` in descending order of bytes; equal ones by name."""
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
