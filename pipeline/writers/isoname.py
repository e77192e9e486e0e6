"""Names in an ISO 9660 directory: the primary ones (ECMA-119, 7.5 and 7.6), and Joliet's in Unicode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.tree import Directory, Entry

ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
FORBIDDEN = frozenset("*/:;?\\")
LONGEST_STEM, LONGEST_EXTENSION = 20, 8
"""Together at most 30 characters with the dot (7.5.1)."""
LONGEST_DIRECTORY = 31
LONGEST_JOLIET = 64
"""Units of UTF-16 in a name."""


def primary(tree: Mapping[str, Entry], paths: Sequence[str]) -> list[tuple[bytes, str]]:
    """Identifier and path of each of a directory's `paths`, in the order that the standard asks for."""
    return _identified(tree, paths, _primary)


def joliet(tree: Mapping[str, Entry], paths: Sequence[str]) -> list[tuple[bytes, str]]:
    """The same in Joliet's hierarchy."""
    return _identified(tree, paths, _joliet)


def _identified(
    tree: Mapping[str, Entry], paths: Sequence[str], identify: Callable[[str, bool, str], bytes]
) -> list[tuple[bytes, str]]:
    taken: dict[bytes, str] = {}
    for path in paths:
        name, directory = path.rpartition("/")[2], isinstance(tree[path], Directory)
        identifier = identify(name, directory, "")
        number = 0
        while identifier in taken:
            number += 1
            identifier = identify(name, directory, f"{number:03}")
        taken[identifier] = path
    return sorted(taken.items())


def _primary(name: str, directory: bool, suffix: str) -> bytes:
    """Upper-case letters, digits and `_`; a file has a dot and a version number. `suffix` tells it from a twin."""
    stem, _, extension = (name.upper(), "", "") if directory else name.upper().rpartition(".")
    if not stem:
        stem, extension = extension, ""
    stem, extension = (
        "".join(character if character in ALLOWED else "_" for character in text) for text in (stem, extension)
    )
    if directory:
        return (stem[: LONGEST_DIRECTORY - len(suffix)] + suffix).encode()
    return f"{stem[: LONGEST_STEM - len(suffix)]}{suffix}.{extension[:LONGEST_EXTENSION]};1".encode()


def _joliet(name: str, directory: bool, suffix: str) -> bytes:
    text = "".join(
        "_" if character in FORBIDDEN or character < " " or not character.isprintable() or character > "\uffff"
        else character for character in name
    )  # fmt: skip
    return (text[: LONGEST_JOLIET - len(suffix)] + suffix).encode("utf-16-be")
