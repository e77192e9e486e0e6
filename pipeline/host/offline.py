"""Offline mode: no sockets, in this process and its children."""

from __future__ import annotations

import os

VARIABLE = "NODEKILN_OFFLINE"


def is_offline() -> bool:
    """Returns True if VARIABLE is set and not 0."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def go_offline() -> None:
    os.environ[VARIABLE] = "1"
