"""Readers: one on-disk structure per module, opened without extracting it. They know no store and no doit.

A structure is a View (bytes at offsets) that lists what is in it as path -> Node; a node's content is a View again.
So a file is looked into in layers: disk, partition, FAT, file, section, archive, path. Nothing is read before it is
asked for.

A reader says NAME, ORDER (who is asked first, where two structures could claim the same bytes), `recognises(view)`,
which looks at magic numbers, and `read(view)`, which gives the listing or raises Unreadable. Nothing lists the readers
twice.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Mapping
from functools import cache, lru_cache
from types import ModuleType
from typing import NamedTuple

from pipeline.readers.view import View

MOST_ENTRIES = 2_000_000
"""Entries of one listing: ten times the files of a large distribution. Damaged structures pretend to any number."""


LARGEST_DIRECTORY = 64 << 20
"""Bytes of one directory: room for a million names."""


class Unreadable(ValueError):
    """Bytes that start like a structure and then are none, or use a part of it that the reader does not know."""


class Node(NamedTuple):
    """What stands at a path inside a structure.

    kind: `file`, `directory`, `symlink`, `device`; `partition`, `section`, … where the structure has its own words.
    facts: what the structure says of it (mode, uid, mtime, target), in the structure's units.
    content: its bytes, if it has any.
    place: where it lies (clusters, offsets). It follows from the rest: it explains a difference if nothing else does.
    """

    kind: str
    facts: Mapping[str, str | int]
    content: View | None = None
    place: Mapping[str, str | int] = {}


Listing = Mapping[str, Node]
"""path -> Node, in the structure's order. What is said of the structure as a whole is at HEADER."""
HEADER = ""


class Opened(NamedTuple):
    """A view that a reader recognised."""

    structure: str
    listing: Listing


DAMAGED = (ValueError, struct.error, LookupError, ArithmeticError, OSError, EOFError, RecursionError)
"""What a reader stumbles over in bytes that are no such structure. Unreadable is a ValueError."""
RECENT = 64
"""Views whose listings are kept: what is compared is looked into several times, from the outside in."""


@lru_cache(RECENT)
def look_into(view: View) -> Opened | None:
    """What `view` is, and what it lists; None if no reader knows it or it is damaged."""
    for reader in readers():
        try:
            if reader.recognises(view):
                return Opened(reader.NAME, reader.read(view))
        except DAMAGED:
            continue
    return None


@cache
def readers() -> tuple[ModuleType, ...]:
    """Every reader, in the order in which they are asked."""
    stems = [name[:-3] for name in os.listdir(__path__[0]) if name.endswith(".py") and name[0] != "_"]
    found = [importlib.import_module(f"{__name__}.{stem}") for stem in stems]
    known = (module for module in found if hasattr(module, "recognises"))
    return tuple(sorted(known, key=lambda module: (module.ORDER, module.NAME)))
