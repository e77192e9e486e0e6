"""Kernel parameters in files of sysctl.d(5), with the meaning that images/sysctl/sysctl gives them.

Files are read in the order of their names, whichever directory holds them; of two with one name, the later directory's.
The last line that names a parameter decides. `*` is any name between two separators. A test holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

SUFFIX = ".conf"
"""End of the names of files that are read."""
_SEPARATOR = re.compile(r"[./]")


class Assignment(NamedTuple):
    """A line `key = value`.

    key: with `/` between names, as below /proc/sys; it may hold `*`. optional: the line starts with `-`, for a key that
    a kernel may lack. file, line: its place.
    """

    key: str
    value: str
    optional: bool
    file: str
    line: int

    def names(self, key: str) -> bool:
        """Returns True if the line sets `key`, which has no `*`."""
        pattern = "[^/]*".join(re.escape(part) for part in self.key.split("*"))
        return re.fullmatch(pattern, key) is not None


def path(key: str) -> str:
    """Returns `net.ipv4.conf.eth0/1.rp_filter` or `net/ipv4/conf/eth0.1/rp_filter` as the latter.

    The first separator decides: behind a dot, the other dots separate too, and `/` stands for a dot (sysctl.d(5)).
    """
    first = _SEPARATOR.search(key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "." else key


def parse(text: str, file: str) -> Iterator[Assignment]:
    """Yields the assignments in `text`. Lines without `=` are left out: at boot, they fail the step."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if not line or line[0] in "#;" or "=" not in line:
            continue
        optional = line.startswith("-")
        key, value = line.removeprefix("-").lstrip(" \t").split("=", 1)
        yield Assignment(path(key.rstrip(" \t")), value.lstrip(" \t"), optional, file, number)


def merged(folders: Iterable[Mapping[str, tuple[str, str]]]) -> tuple[Assignment, ...]:
    """Returns the assignments of all folders in the order in which they count.

    folders: name of each file -> its title and its text. A file of a later folder replaces that of an earlier one.
    """
    files: dict[str, tuple[str, str]] = {}
    for folder in folders:
        files |= {name: file for name, file in folder.items() if name.endswith(SUFFIX)}
    ordered = sorted(files.items(), key=lambda item: item[0].encode("utf-8", "surrogateescape"))
    return tuple(line for _, (title, text) in ordered for line in parse(text, title))


def decisive(assignments: Iterable[Assignment], key: str) -> Assignment | None:
    """Returns the assignment that decides the parameter `key`; None if no line names it."""
    wanted = path(key)
    return next((line for line in reversed([*assignments]) if line.names(wanted)), None)
