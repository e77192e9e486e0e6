"""Log: requests, retries, cache decisions and waits for locks, on standard error, for whoever sets NODEKILN_LOG.

Records go to the logger `nodekiln` of Python's `logging`. It is imported only if they are printed, or if another module
has imported it: an ordinary start does not pay for it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from pipeline.host.redact import redact_text
from pipeline.host.terminal import printable, say
from pipeline.model.errors import BadInput

if TYPE_CHECKING:
    import logging

VARIABLE = "NODEKILN_LOG"
"""Environment variable: the least important records that are printed, as one of LEVELS."""
NAME = "nodekiln"
LEVELS = {"info": 20, "debug": 10}
"""Names of levels, with logging's numbers."""
VERBOSITIES = {3: "info", 4: "debug"}
"""doit's verbosities above its own 0 to 2: `doit -v 4 build`."""


def configure(verbosity: int | None = None) -> None:
    """Prints records from now on if VARIABLE or doit's verbosity (`-v 3`, `-v 4`) asks for it.

    BadInput for a value that is not a level.
    """
    level = os.environ.get(VARIABLE, "") or VERBOSITIES.get(verbosity or 0, "")
    if not level:
        return
    if level not in LEVELS:
        raise BadInput(f"{VARIABLE}: {level!r} is not a level: use {' or '.join(LEVELS)}")
    os.environ[VARIABLE] = level  # for the processes that this one starts
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with contextlib.suppress(OSError):  # nobody reads any more
                say(printable(redact_text(self.format(record))), error=True)

    handler = Handler()
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(relativeCreated)d ms: %(message)s"))
    logger = logging.getLogger(NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(LEVELS[level])
    logger.propagate = False


def info(message: str, *values: object) -> None:
    """Logs what happens rarely: a request, a retry, a stage that runs, a wait."""
    if (logger := _logger()) is not None:
        logger.info(message, *values)


def debug(message: str, *values: object) -> None:
    """Logs what happens all the time: each look into the cache."""
    if (logger := _logger()) is not None:
        logger.debug(message, *values)


def _logger() -> logging.Logger | None:
    """Returns the logger, unless nobody can have asked for its records yet."""
    if "logging" not in sys.modules:
        return None
    import logging  # another thread may still be importing it: this waits

    return logging.getLogger(NAME)
