"""Versions of Debian packages, in their order (Debian Policy, 5.6.12; deb-version(7))."""

from __future__ import annotations

import re
from itertools import zip_longest

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")


def is_older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`."""
    (epoch, *parts), (other_epoch, *other_parts) = _split(version), _split(than)
    if epoch != other_epoch:
        return _number(epoch) < _number(other_epoch)
    for mine, other in zip(parts, other_parts, strict=True):
        if mine_first := _compare(mine, other):
            return mine_first < 0
    return False


def _split(version: str) -> tuple[str, str, str]:
    """Epoch, upstream version, revision; what is not there is 0."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch.lstrip("0"), upstream, revision) if dash else (epoch.lstrip("0"), rest, "0")


def _compare(one: str, other: str) -> int:
    """Negative, 0 or positive: by turns letters, in an order of their own, and numbers."""
    for (letters, digits), (others, other_digits) in zip_longest(
        _PIECES.findall(one), _PIECES.findall(other), fillvalue=("", "")
    ):
        for mine, its in zip_longest(map(_rank, letters), map(_rank, others), fillvalue=0):
            if mine != its:
                return mine - its
        if _number(digits) != _number(other_digits):
            return -1 if _number(digits) < _number(other_digits) else 1
    return 0


def _number(digits: str) -> tuple[int, str]:
    """Ordered as the number is, however long it is."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _rank(character: str) -> int:
    """`~` comes before the end (0), letters after that, everything else last."""
    return -1 if character == "~" else ord(character) + (0 if character.isalpha() else 256)
