"""Writers: one on-disk structure per module. They import neither the store nor doit: a tree goes in, bytes go to a
sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model.errors import BadInput
from pipeline.model.tree import Entry, File


class FormatError(BadInput):
    """A tree that a format cannot hold. The message names the path, the limit and a way out."""


class TooLarge(FormatError):
    """A file of `size` bytes that exceeds a structure's maximum. The caller adds the formats that can hold it."""

    def __init__(self, path: str, size: int, structure: str, largest: int) -> None:
        super().__init__(f"{path}: {size} bytes; {structure} holds files of at most {largest}")
        self.size = size


def raw(text: str) -> bytes:
    """The bytes of a path or a link's target, in UTF-8 whatever the locale is; surrogates are bytes that are none."""
    return text.encode("utf-8", "surrogateescape")


def canonical_hard_links(tree: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    """Yields the entries of the ordered `tree`; every name of a hard-linked file gets the entry of the first."""
    first: dict[str, File] = {}
    for path, entry in tree.items():
        if type(entry) is File and entry.inode:
            yield path, first.setdefault(entry.inode, entry)
        else:
            yield path, entry
