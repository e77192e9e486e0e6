"""Names in an ISO 9660 directory: the primary ones (ECMA-119, 7.5 and 7.6), and Joliet's in Unicode."""

from __future__ import annotations

from codecs import ascii_encode, utf_16_be_encode
from collections.abc import Callable, Mapping, Sequence

from pipeline.model.tree import Directory, Entry

ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
FORBIDDEN = frozenset("*/:;?\\")
LONGEST_STEM, LONGEST_EXTENSION = 20, 8
"""Together at most 30 characters with the dot (7.5.1)."""
LONGEST_DIRECTORY = 31
LONGEST_JOLIET = 64
"""Units of UTF-16 in a name."""
_Cut = tuple[str, int, str]
"""A name: the part that may be cut, its maximum length, and the rest."""


class _Table(dict[int, str]):
    """A table for str.translate: character -> replacement; frequent ones are looked up once."""

    def __init__(self, spelled: Callable[[str], str]) -> None:
        super().__init__((code, spelled(chr(code))) for code in range(128))
        self.spelled = spelled

    def __missing__(self, code: int) -> str:
        return self.spelled(chr(code))


PRIMARY = _Table(lambda each: each if each in ALLOWED else "_")
JOLIET = _Table(lambda each: "_" if each in FORBIDDEN or not each.isprintable() or each > "\uffff" else each)


def primary(tree: Mapping[str, Entry], paths: Sequence[str]) -> list[tuple[bytes, str]]:
    """Returns identifier and path of each of a directory's `paths`, in the standard's order."""
    return _identify(tree, paths, _primary, ascii_encode)


def joliet(tree: Mapping[str, Entry], paths: Sequence[str]) -> list[tuple[bytes, str]]:
    """Returns the same for Joliet's hierarchy."""
    return _identify(tree, paths, _joliet, utf_16_be_encode)


def _identify(
    tree: Mapping[str, Entry],
    paths: Sequence[str],
    parts: Callable[[str, bool], _Cut],
    encode: Callable[[str], tuple[bytes, int]],
) -> list[tuple[bytes, str]]:
    """Returns identifiers and paths. A number makes an identifier unique; the search goes on from the last one."""
    taken: dict[bytes, str] = {}
    numbers: dict[bytes, int] = {}
    for path in paths:
        stem, longest, end = parts(path.rpartition("/")[2], type(tree[path]) is Directory)
        identifier = plain = encode(stem[:longest] + end)[0]
        while identifier in taken:
            numbers[plain] = number = numbers.get(plain, 0) + 1
            suffix = f"{number:03}"
            identifier = encode(stem[: longest - len(suffix)] + suffix + end)[0]
        taken[identifier] = path
    return sorted(taken.items())


def _primary(name: str, directory: bool) -> _Cut:
    """Upper-case letters, digits and `_`; a file has a dot and a version number."""
    name = name.upper()
    if directory:
        return name.translate(PRIMARY), LONGEST_DIRECTORY, ""
    stem, _, extension = name.rpartition(".")
    if not stem:
        stem, extension = extension, ""
    return stem.translate(PRIMARY), LONGEST_STEM, f".{extension[:LONGEST_EXTENSION].translate(PRIMARY)};1"


def _joliet(name: str, directory: bool) -> _Cut:
    return name.translate(JOLIET), LONGEST_JOLIET, ""
