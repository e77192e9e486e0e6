"""Outside: whether a host path that a spec or a recipe names leaves the project. Those who write specs and recipes may
be strangers (a pull request), and what they name ends up in images: it stays inside, unless the environment says so.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.host import tracked

VARIABLE = "NODEKILN_OUTSIDE"
ALLOWED = f"{VARIABLE}=1 in the environment allows it"
"""Hint of an error about a path that leads outside."""
PUBLIC_KEY = re.compile(r"~/\.ssh/[\w.-]+\.pub")
"""A user's public key, as LinuxKit's specs name it: what is in there is meant to be handed out."""


def escapes(path: Path, *homes: Path) -> bool:
    """Whether `path`, symlinks followed, lies outside the project (the working directory) and `homes`, where that is
    not allowed."""
    if tracked.variable(VARIABLE) == "1":
        return False
    real = Path(tracked.real(path))
    return not any(real.is_relative_to(tracked.real(home)) for home in (Path.cwd(), *homes))
