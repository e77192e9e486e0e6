"""Typed: the command that the user started, for messages that say what to run next."""

from __future__ import annotations

import os

VARIABLE = "NODEKILN_COMMAND"
"""Environment: how nodekiln was started, set by whatever starts doit for the user (`./kiln`)."""


def user_command(words: str) -> str:
    """`doit WORDS` between backquotes, with the command that the user typed in place of doit."""
    return f"`{os.environ.get(VARIABLE) or 'doit'} {words}`"
