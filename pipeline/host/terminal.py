"""Terminal output. Names and messages come from locks, images and servers, and may contain control sequences.

All characters that are not printable are shown as escapes.
"""

from __future__ import annotations

import sys

LAYOUT = "\n\t"
"""Harmless characters that are not printable."""


def say(text: object = "", end: str = "\n", error: bool = False) -> None:
    """Prints `text`, escaped, to standard output (or standard error), without buffering."""
    print(escaped(str(text)), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def escaped(text: str) -> str:
    """Escapes a text of any number of lines."""
    return printable(text, LAYOUT)


def printable(text: str, keep: str = "") -> str:
    """Escapes control and format characters, and bytes that are not UTF-8, except those in `keep`. Idempotent."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in text
    )
