"""The command that the user started, for messages that name the next command."""

from __future__ import annotations

import os

VARIABLE = "NODEKILN_COMMAND"
"""Environment variable with the command that started nodekiln, set by wrappers of doit (`./kiln`)."""


def user_command(words: str) -> str:
    """Returns `doit WORDS` in backquotes, with the user's own command in place of doit."""
    return f"`{os.environ.get(VARIABLE) or 'doit'} {words}`"
