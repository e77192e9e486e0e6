"""The order of Debian packages' versions (Debian Policy, 5.6.12; deb-version(7))."""

from __future__ import annotations

import re
from itertools import zip_longest

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")


def is_older(version: str, than: str) -> bool:
    """Returns whether `version` sorts before `than`."""
    (epoch, *parts), (other_epoch, *other_parts) = _split(version), _split(than)
    if epoch != other_epoch:
        return _number(epoch) < _number(other_epoch)
    orders = map(_compare, parts, other_parts)
    return next((order < 0 for order in orders if order), False)


def _split(version: str) -> tuple[str, str, str]:
    """Returns epoch, upstream version and revision; absent ones are 0."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch.lstrip("0"), upstream, revision) if dash else (epoch.lstrip("0"), rest, "0")


def _compare(one: str, other: str) -> int:
    """Returns a negative number, 0 or a positive one. Letters, in an order of their own, alternate with numbers."""
    for (letters, digits), (others, other_digits) in zip_longest(
        _PIECES.findall(one), _PIECES.findall(other), fillvalue=("", "")
    ):
        for rank, other_rank in zip_longest(map(_rank, letters), map(_rank, others), fillvalue=0):
            if rank != other_rank:
                return rank - other_rank
        if _number(digits) != _number(other_digits):
            return -1 if _number(digits) < _number(other_digits) else 1
    return 0


def _number(digits: str) -> tuple[int, str]:
    """Returns a key that sorts as the number, of any length."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _rank(character: str) -> int:
    """Returns the rank of a character: `~` before the end (0), letters after that, everything else last."""
    return -1 if character == "~" else ord(character) + (0 if character.isalpha() else 256)
