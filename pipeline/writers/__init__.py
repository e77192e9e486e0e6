"""Writers: one on-disk structure per module. They know no store and no doit: a tree goes in, bytes go to a sink."""

from __future__ import annotations

from pipeline.errors import BadInput


class Unwritable(BadInput):
    """What a tree holds and a structure cannot carry. The message names the path and says what to do instead."""


class TooLarge(Unwritable):
    """A file of `size` bytes, where a structure has room for fewer."""

    def __init__(self, path: str, size: int, structure: str, largest: int) -> None:
        super().__init__(f"{path}: {size} bytes; {structure} holds files of at most {largest}")
        self.size = size


def raw(text: str) -> bytes:
    """The bytes of a path or a link's target, in UTF-8 whatever the locale is; surrogates are bytes that are none."""
    return text.encode("utf-8", "surrogateescape")
