"""The command that the user started, for messages that name the next command."""

from __future__ import annotations

import os

VARIABLE = "NODEKILN_COMMAND"
"""Environment variable with the command that started nodekiln, set by all but doit itself (`./kiln`)."""


def program() -> str:
    """Returns the command that the user typed: `doit`, `nodekiln`, `./kiln`."""
    return os.environ.get(VARIABLE) or "doit"


def user_command(words: str) -> str:
    """Returns `doit WORDS` in backquotes, with the user's own command in place of doit."""
    return f"`{program()} {words}`"
