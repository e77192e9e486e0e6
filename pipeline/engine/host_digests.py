"""Hostfile: sums of files that a spec takes from the host, without reading large ones at sha256's speed each time.

Every `doit` has to know whether such a file changed, and time stamps lie. XXH3 reads at memory speed, so a large file's
sha256 is remembered under its size and XXH3-128 in build/.sums.json. A stage that copies the file checks the sha256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.host import atomic
from pipeline.host.tracked import tracked_input

LARGE = 4 << 20
"""Bytes from which on it pays to look the sum up."""
MEMORY = Path("build/.sums.json")
REMEMBERED = 1000
"""Sums that are kept: the last ones."""


@tracked_input
def sha256(path: Path | str) -> str:
    """The sha256 (hex) of the host file `path`. OSError if it cannot be read."""
    if os.stat(path).st_size < LARGE:
        return _digest(path, hashlib.sha256)
    import xxhash

    quick = f"{os.stat(path).st_size}-{_digest(path, xxhash.xxh3_128)}"
    known = _known()
    if quick not in known:
        known[quick] = _digest(path, hashlib.sha256)
        _remember(known)
    return known[quick]


def _digest(path: Path | str, algorithm: Callable[[], Any]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _known() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(MEMORY.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _remember(known: dict[str, str]) -> None:
    atomic.make_folder(Path(), str(MEMORY.parent))
    atomic.write(MEMORY, json.dumps(dict(list(known.items())[-REMEMBERED:])))
