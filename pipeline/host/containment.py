"""Containment: specs and recipes may name only host paths inside the project.

They may come from strangers (a pull request), and the files end up in images. The environment can lift the rule.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.host import tracked

VARIABLE = "NODEKILN_OUTSIDE"
ALLOWED = f"{VARIABLE}=1 in the environment allows it"
"""Hint for a path outside of the project."""
PUBLIC_KEY = re.compile(r"~/\.ssh/[\w.-]+\.pub")
"""A user's public keys, as LinuxKit's specs name them: these may be outside."""


def escapes(path: Path, *homes: Path) -> bool:
    """Returns True if `path`, symlinks followed, is outside the working directory and `homes`, unless allowed."""
    if tracked.variable(VARIABLE) == "1":
        return False
    real = Path(tracked.real(path))
    return not any(real.is_relative_to(tracked.real(home)) for home in (Path.cwd(), *homes))
