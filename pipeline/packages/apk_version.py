"""The order of versions of Alpine's packages: 1.2.3b_rc1_p2~abc-r4.

Source: apk-package(5), "version"; apk-tools 3, where a component after the first that starts with 0 is a fraction.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import zip_longest

SUFFIXES = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
"""Suffix -> its rank; those below 0 are of versions before the one without a suffix."""
COMPONENT, LETTER, SUFFIX, NUMBER, HASH, REVISION, END = range(7)
"""Kinds of tokens. Of two versions that are equal so far, the one with the lower kind is newer."""
_VERSION = re.compile(r"([0-9]+(?:\.[0-9]+)*)([a-z]?)((?:_[a-z]+[0-9]*)*)(~[0-9a-f]+)?(-r[0-9]+)?", re.ASCII)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)", re.ASCII)

Token = tuple[int, int | str]
"""Kind and value of a part of a version."""


def is_older(version: str, other: str) -> bool:
    """Returns whether `version` comes before `other`; False if one is no version of a package."""
    if not (_tokens(version) and _tokens(other)):
        return False
    for (kind, value), (other_kind, other_value) in zip_longest(_tokens(version), _tokens(other), fillvalue=(END, 0)):
        if kind != other_kind:
            return _is_before(kind, value, other_kind, other_value)
        if value != other_value:
            return _is_less(value, other_value)
    return False


def _is_before(kind: int, value: int | str, other_kind: int, other_value: int | str) -> bool:
    """Returns the order of two tokens of different kinds."""
    if kind == SUFFIX and isinstance(value, int) and value < 0:
        return True
    if other_kind == SUFFIX and isinstance(other_value, int) and other_value < 0:
        return False
    return kind > other_kind


def _is_less(value: int | str, other: int | str) -> bool:
    """Returns the order of two values of a kind. Components are texts: fractions if one starts with 0."""
    if isinstance(value, int) or isinstance(other, int):
        return int(value) < int(other)
    if not (value.isdigit() and other.isdigit()) or value.startswith("0") or other.startswith("0"):
        return value < other
    return int(value) < int(other)


@cache
def _tokens(version: str) -> tuple[Token, ...]:
    """Returns the parts of a version; () for a text that is none."""
    match = _VERSION.fullmatch(version)
    if not match:
        return ()
    numbers, letter, suffixes, commit, revision = match.groups("")
    first, *rest = numbers.split(".")
    tokens: list[Token] = [(COMPONENT, int(first)), *((COMPONENT, each) for each in rest)]
    if letter:
        tokens.append((LETTER, letter))
    for name, number in _SUFFIX.findall(suffixes):
        tokens.append((SUFFIX, SUFFIXES.get(name, 0)))
        tokens += [(NUMBER, int(number))] if number else []
    tokens += [(HASH, commit)] if commit else []
    tokens += [(REVISION, int(revision[2:]))] if revision else []
    return tuple(tokens)
