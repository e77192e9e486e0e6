"""Offline: whether this run may open a socket. The environment says so for everything that it does."""

from __future__ import annotations

import os

VARIABLE = "NODEKILN_OFFLINE"


def is_offline() -> bool:
    """Whether VARIABLE is set, to something else than 0."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def go_offline() -> None:
    """From now on, in this process and those that it starts."""
    os.environ[VARIABLE] = "1"
