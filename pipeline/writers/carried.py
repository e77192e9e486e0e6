"""Carried: the metadata of an entry, besides type, mode and owner, that a structure holds.

Each writer declares it once, as CARRIED. A check reports the rest before anything is written, and a stage while it
writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.model.tree import Entry

SHOWN = 3
"""Paths that a message names; it counts the others."""
EVERY = ("",)
"""Prefix of every name."""
CAPABILITY = "security.capability"
"""The attribute with a program's file capabilities (capabilities(7))."""


class Carried(NamedTuple):
    """The extended attributes and time stamps that a structure has a place for."""

    structure: str
    attributes: tuple[str, ...] = EVERY
    """Names of attributes, or prefixes of them."""
    earliest: int | None = None
    """Seconds since 1970, like `latest`: a time stamp outside becomes the nearest of them. None for no end."""
    latest: int | None = None
    refuses: bool = False
    """An attribute without a place is an error of the writer, instead of being left out."""

    def dropped(self, tree: Mapping[str, Entry]) -> dict[str, list[str]]:
        """The attributes of `tree` that have no place: name -> the paths that have it."""
        found: dict[str, list[str]] = {}
        for path, entry in tree.items():
            for name, _ in entry.xattrs:
                if not name.startswith(self.attributes):
                    found.setdefault(name, []).append(path)
        return found

    def moved(self, tree: Mapping[str, Entry]) -> list[str]:
        """The paths of `tree` whose time stamps have no place."""
        early = -float("inf") if self.earliest is None else self.earliest
        late = float("inf") if self.latest is None else self.latest
        return [path for path, entry in tree.items() if not early <= entry.mtime <= late]

    def losses(self, tree: Mapping[str, Entry]) -> Iterator[tuple[bool, str, str]]:
        """For each kind of thing that `tree` has and the structure does not: whether its writer refuses it, a message
        and a hint."""
        for name, paths in sorted(self.dropped(tree).items()):
            hint = "grant them to the container: `capabilities` and `ambient`" if name == CAPABILITY else ""
            yield self.refuses, f"{self.structure} has no place for the attribute {name} of {join_paths(paths)}", hint
        if paths := self.moved(tree):
            years = [str(time.gmtime(end).tm_year) for end in (self.earliest, self.latest) if end is not None]
            message = f"{self.structure} has times from {' to '.join(years)}, and gives {join_paths(paths)} the nearest"
            yield False, message, ""


def join_paths(paths: Sequence[str]) -> str:
    """The first of `paths`, and how many more there are."""
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(path or "/" for path in paths[:SHOWN]) + more
