"""Readers: one on-disk structure per module, opened without extracting it. They import neither the store nor doit.

A structure is a View (bytes at offsets); its reader lists it as path -> Node, and a node's content is a View again. So
a file is opened in layers: disk, partition, FAT, file, section, archive, path. Nothing is read before it is needed.

A module registers its structure with `READER = Reader(...)`; nothing else lists the readers.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

from pipeline.readers.view import View

MOST_ENTRIES = 2_000_000
"""Entries of one listing: ten times the files of a large distribution. Damaged structures pretend to any number."""


LARGEST_DIRECTORY = 64 << 20
"""Maximum size of a directory, in bytes: room for a million names."""
DEEPEST = 256
"""Maximum depth of directories: a path of 4096 bytes has hardly more, and a damaged structure may contain a ring."""


class StructureError(ValueError):
    """Bytes that start like a structure but are damaged, or use a part of it that the reader does not support."""


class Node(NamedTuple):
    """An object at a path inside a structure.

    kind: `file`, `directory`, `symlink`, `device`; or the structure's own word: `partition`, `section`, …
    properties: its metadata (mode, uid, mtime, target), in the structure's units. content: its bytes, if it has any.
    place: its location (clusters, offsets); it follows from the rest, and explains a difference only if nothing else
    does.
    """

    kind: str
    properties: Mapping[str, str | int]
    content: View | None = None
    place: Mapping[str, str | int] = {}


Listing = Mapping[str, Node]
"""path -> Node, in the structure's order. HEADER has the metadata of the structure as a whole."""
HEADER = ""


def walk(root: int, look: Callable[[int], tuple[Node, Iterable[tuple[str, int]]]]) -> dict[str, Node]:
    """Lists a hierarchy of inodes, parents before children; `.` is the root.

    look: returns an inode's node, and its children as names and inodes. StructureError for a ring, and for too many.
    """
    listing: dict[str, Node] = {}
    directories: set[int] = set()

    def visit(inode: int, path: str, depth: int) -> None:
        node, children = look(inode)
        listing[path or "."] = node
        if len(listing) > MOST_ENTRIES:
            raise StructureError(f"more than {MOST_ENTRIES} entries")
        if node.kind == "directory":
            if depth > DEEPEST or inode in directories:
                raise StructureError("directories without end")
            directories.add(inode)
            for name, child in children:
                visit(child, f"{path}/{name}" if path else name, depth + 1)

    visit(root, "", 0)
    return listing


class Reader(NamedTuple):
    """One structure: how it is recognised and opened."""

    name: str
    recognises: Callable[[View], bool]
    """Returns whether the magic numbers of a view are those of the structure."""
    read: Callable[[View], Listing]
    """Lists what is in a view. StructureError if it is damaged."""
    order: int = 10
    """Readers of lower order are tried first, where two could claim the same bytes."""


class StructureListing(NamedTuple):
    """A view that a reader recognised."""

    structure: str
    listing: Listing


DAMAGED = (ValueError, struct.error, LookupError, ArithmeticError, OSError, EOFError, RecursionError)
"""Errors that readers raise on damaged bytes. StructureError is a ValueError."""
RECENT = 64
"""Number of listings that are cached: a comparison opens the same views repeatedly, from the outside in."""


@lru_cache(RECENT)
def look_into(view: View) -> StructureListing | None:
    """Opens a structure and returns its name and listing; None if no reader recognises it, or it is damaged."""
    for reader in readers():
        try:
            if reader.recognises(view):
                return StructureListing(reader.name, reader.read(view))
        except DAMAGED:
            continue
    return None


@cache
def readers() -> tuple[Reader, ...]:
    """Every reader, in the order in which they are tried."""
    stems = [name[:-3] for name in os.listdir(__path__[0]) if name.endswith(".py") and name[0] != "_"]
    modules = [importlib.import_module(f"{__name__}.{stem}") for stem in stems]
    found: list[Reader] = [module.READER for module in modules if hasattr(module, "READER")]
    return tuple(sorted(found, key=lambda reader: (reader.order, reader.name)))
