"""Limits of Linux on a file, whatever the file system: a structure that Linux reads need not hold more.

A writer checks its tree once, before it packs numbers into fields. Limits of a structure are in its module. Time stamps
that a field cannot hold are moved to its nearest end, as each writer documents.

Source: include/uapi/linux/limits.h, include/linux/{kdev_t,uidgid,time64}.h and fs/namei.c of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from pipeline.model.tree import Device, Entry, Symlink
from pipeline.writers import FormatError, raw

LARGEST_ID = (1 << 32) - 2
"""Maximum user or group id: 32 bits, and all ones mean no id (uidgid.h, INVALID_UID)."""
EARLIEST, LATEST = -(1 << 63), (1 << 63) - 1
"""First and last time stamp, in seconds since 1970: 64 bits (time64.h, time64_t)."""
LARGEST_MAJOR, LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1
"""Largest numbers of a device: 12 and 20 bits (kdev_t.h, MINORBITS and new_encode_dev)."""
LONGEST_NAME = 255
"""Maximum length of a name, in bytes (limits.h, NAME_MAX)."""
LONGEST_PATH = LONGEST_TARGET = 4095
"""Maximum length of a path, and of a symbolic link's target, in bytes (limits.h, PATH_MAX without its NUL; namei.c,
page_get_link)."""
LONGEST_ATTRIBUTE, LARGEST_ATTRIBUTE = 255, 65536
"""Maximum length of an extended attribute's name and of its value, in bytes (limits.h, XATTR_NAME_MAX and _SIZE_MAX).
"""
SHOWN = 300
"""Characters of a path that a message shows."""
_NUMBERS = (
    ("user id", itemgetter(1), 0, LARGEST_ID),
    ("group id", itemgetter(2), 0, LARGEST_ID),
    ("time stamp", itemgetter(3), EARLIEST, LATEST),
)
"""A field of every entry: its name, the field itself (by its name it would take three times as long), its least and
its largest value."""
_SHORT = LONGEST_NAME // 4
"""Number of characters that always fit a name: UTF-8 takes up to four bytes each."""


def check(tree: Mapping[str, Entry], structure: str, longest_name: int = LONGEST_NAME) -> None:
    """Refuses what Linux cannot hold. FormatError names the first path, the limit and a way out."""
    for what, field, least, most in _NUMBERS:
        found = set(map(field, tree.values()))
        if found and not least <= min(found) <= max(found) <= most:
            path = next(path for path, entry in tree.items() if not least <= field(entry) <= most)
            _number(path, what, field(tree[path]), least, most, structure)
    for path, entry in tree.items():
        if len(path) > _SHORT and len(name := raw(path.rpartition("/")[2])) > longest_name:
            raise limit_error(path, "a name", len(name), longest_name, structure, "shorten it")
        if type(entry) is Symlink:
            _target(path, entry.target, structure)
        elif type(entry) is Device:
            _number(path, "major number", entry.major, 0, LARGEST_MAJOR, structure)
            _number(path, "minor number", entry.minor, 0, LARGEST_MINOR, structure)
        if entry.xattrs:
            _attributes(path, entry, structure)


def limit_error(path: str, what: str, size: int, most: int, structure: str, advice: str) -> FormatError:
    """The error for something of `size` bytes at `path`, where `structure` has room for `most`."""
    return FormatError(f"{short_path(path)}: {what} of {size} bytes; {structure} has room for {most}: {advice}")


def short_path(path: str) -> str:
    """`path`, as a message shows it: cut where it is very long."""
    return path if len(path) <= SHOWN else f"{path[:SHOWN]}…"


def _number(path: str, what: str, value: int, least: int, most: int, structure: str) -> None:
    if not least <= value <= most:
        room = f"Linux, and so {structure}, has room for {least} to {most}"
        raise FormatError(f"{short_path(path)}: {what} {value}; {room}: change it where the file comes from")


def _target(path: str, target: str, structure: str) -> None:
    if not target:
        raise FormatError(f"{short_path(path)}: a link without a target; Linux allows none: leave it out")
    if len(target) > _SHORT and len(data := raw(target)) > LONGEST_TARGET:
        raise limit_error(path, "a link's target", len(data), LONGEST_TARGET, structure, "shorten it")


def _attributes(path: str, entry: Entry, structure: str) -> None:
    for key, value in entry.xattrs:
        if len(name := raw(key)) > LONGEST_ATTRIBUTE:
            name_of = f"the name of an extended attribute ({key[:40]}…)"
            raise limit_error(path, name_of, len(name), LONGEST_ATTRIBUTE, structure, "leave it out")
        if len(value) > LARGEST_ATTRIBUTE:
            raise limit_error(
                path, f"extended attribute {key}", len(value), LARGEST_ATTRIBUTE, structure, "leave it out"
            )
