"""Console: the command `nodekiln`, which is doit with nodekiln's loader, in any folder.

A project needs no pyproject.toml for it; what `[tool.doit]` has counts as it does for doit. A dodo.py does not count.
"""

from __future__ import annotations

import os
import sys
import tomllib
from typing import Any

from pipeline.host.user_command import VARIABLE

NAME = "nodekiln"


def main() -> int:
    """Runs doit with the words of the command line, and returns its exit code."""
    os.environ[VARIABLE] = NAME  # before messages of commands are made
    from pipeline.tasks import crash

    with crash.guard():
        doit = _doit()
    code: int = doit.run(sys.argv[1:])
    return code


def _doit() -> Any:
    from doit.doit_cmd import DoitMain

    from pipeline.model.errors import BadInput
    from pipeline.tasks import Loader

    try:
        return DoitMain(Loader())
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"pyproject.toml: {error}") from None
