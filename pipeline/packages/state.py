"""The user's own folder for what is kept of archives between runs."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path

PRIVATE = 0o700
"""Mode of folders that are the user's own."""
OTHERS_WRITE = 0o022
"""Bits of a mode that let others write."""


@cache
def state_folder() -> Path:
    """Returns a folder that this user alone may write.

    It is $XDG_CACHE_HOME/nodekiln/packages, or ~/.cache/nodekiln/packages (XDG Base Directory Specification); if that
    cannot be private, a temporary folder that is deleted with this process.
    """
    import atexit
    import shutil
    import tempfile

    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "nodekiln")
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        status = os.stat(folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & OTHERS_WRITE:
            (folder / "packages").mkdir(PRIVATE, exist_ok=True)
            return folder / "packages"
    except (OSError, RuntimeError):  # no home, or it cannot be written
        pass
    temporary = tempfile.mkdtemp(prefix="nodekiln-packages-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)
