"""Differences between two JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

ABSENT = object()
"""The value of a key or an item that one side lacks."""
Pairs = Iterable[tuple[str | int, Any, Any]]
"""Key, value before and value now; ABSENT where there is none."""


class Change(NamedTuple):
    """A place with unequal values. path: keys and indices that lead to it."""

    path: tuple[str | int, ...]
    before: Any
    now: Any


def by_index(before: Sequence[Any], now: Sequence[Any]) -> Pairs:
    """Pairs the items of two lists by their positions."""
    return ((index, *pair) for index, pair in enumerate(zip_longest(before, now, fillvalue=ABSENT)))


def differences(
    before: Any,
    now: Any,
    items: Callable[[Sequence[Any], Sequence[Any]], Pairs | None] = by_index,
    path: tuple[str | int, ...] = (),
) -> Iterator[Change]:
    """Yields each innermost place with unequal values, in the order of `before`.

    items: pairs the items of two lists; None compares the two as one value.
    """
    pairs: Pairs | None = None
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        pairs = [(key, before.get(key, ABSENT), now.get(key, ABSENT)) for key in dict.fromkeys([*before, *now])]
    elif isinstance(before, list | tuple) and isinstance(now, list | tuple):
        pairs = items(before, now)
    if pairs is not None:
        for key, old, new in pairs:
            yield from differences(old, new, items, (*path, key))
    elif before != now or type(before) is not type(now):
        yield Change(path, before, now)
