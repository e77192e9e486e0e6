"""Terminal: the one way by which text reaches people. Names, versions and messages come from locks, images, servers
and files, and may hold what a terminal would obey: everything that is not printable is shown as an escape.
"""

from __future__ import annotations

import sys

LAYOUT = "\n\t"
"""Characters that are not printable and harmless."""


def say(text: object = "", end: str = "\n", error: bool = False) -> None:
    """Print `text`, escaped, to standard output, or to standard error if `error`; at once."""
    print(escaped(str(text)), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def escaped(text: str) -> str:
    """`text`, of any number of lines, as a terminal may get it."""
    return printable(text, LAYOUT)


def printable(text: str, kept: str = "") -> str:
    """`text` with escapes for control and format characters, and for bytes that are no UTF-8; on one line, unless line
    breaks are `kept`. Doing it twice changes nothing."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii") for each in text
    )
