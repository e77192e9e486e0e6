"""The order of Debian packages' versions (Debian Policy, 5.6.12; deb-version(7))."""

from __future__ import annotations

import re
from functools import lru_cache

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")
_KEYS = 1 << 16
"""Number of sort keys to keep."""

Number = tuple[int, str]
"""A number of any length, sorted by its digits without leading zeros."""
Piece = tuple[tuple[int, ...], Number]
"""Ranks of the characters before a number, ended by 0, and the number."""
Key = tuple[Number, tuple[Piece, ...], tuple[Piece, ...]]
"""Epoch, upstream version and revision; sorts as dpkg does."""

_END: Piece = ((0,), (0, ""))


def is_older(version: str, than: str) -> bool:
    """Returns whether `version` sorts before `than`."""
    return sort_key(version) < sort_key(than)


@lru_cache(_KEYS)
def sort_key(version: str) -> Key:
    """Returns a key that sorts as dpkg sorts `version`; versions that dpkg takes for equal have equal keys."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "", version
    upstream, dash, revision = rest.rpartition("-")
    return (_number(epoch), *((_pieces(upstream), _pieces(revision)) if dash else (_pieces(rest), _pieces(""))))


def _pieces(part: str) -> tuple[Piece, ...]:
    """Returns the sort key of an upstream version or a revision; an absent one is 0."""
    pieces = [((*map(_rank, letters), 0), _number(digits)) for letters, digits in _PIECES.findall(part)]
    while len(pieces) > 1 and pieces[-1] == _END:
        pieces.pop()
    return (*pieces, _END)


def _number(digits: str) -> Number:
    significant = digits.lstrip("0")
    return len(significant), significant


def _rank(character: str) -> int:
    """Returns the rank of a character: `~` before the end (0), letters after that, everything else last."""
    return -1 if character == "~" else ord(character) + (0 if character.isalpha() else 256)
