"""Process: everything that nodekiln changes of the process in which doit runs, and nothing else does: signals, the
garbage collector, the errors of threads, the log. Called when doit loads tasks; a configuration changes nothing.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pipeline.host import log
from pipeline.host.terminal import say
from pipeline.tasks import crash
from pipeline.tasks.request import Request

COLLECT_RARELY = (100_000, 50, 50)
"""Thresholds of Python's garbage collector: trees, very many small objects without cycles, load twice as fast."""
GRACE = 1.0
"""Seconds that a run has to end in order after a signal."""
RESUMES = "interrupted: what is done is kept, and the next build resumes there"

_farewell: list[str] = []
"""Text to print when the run ends."""
_last_calls: list[Callable[[], None]] = []
"""Called before the process is replaced."""


def prepare(request: Request) -> None:
    """Makes ^C and SIGTERM end doit in order, unexpected errors of threads one line, and `doit list | head` silent."""
    log.configure(request.verbosity)
    crash.prepare(request.command_line, request.debug)
    if request.prints:  # it opens no socket, and may end when nobody reads any more
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def end(number: int, frame: object) -> NoReturn:
        _farewell[:] = [RESUMES] * (number == signal.SIGINT and request.builds)
        threading.Thread(target=_leave, args=(128 + number,), daemon=True).start()
        raise SystemExit(128 + number)  # doit writes its state, half-written files are dropped

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell has it ignored
        signal.signal(signal.SIGINT, end)
    gc.set_threshold(*COLLECT_RARELY)
    atexit.register(gc.freeze)  # what is left at the end goes with the process: to look for cycles in it takes 15 ms


def end_run() -> None:
    """Prints that the next build resumes, if ^C interrupted one that has not printed it yet."""
    while _farewell:
        say(_farewell.pop(), error=True)


def _leave(status: int) -> None:
    """Ends the process although threads still wait: for a server, or for the pause before it is asked again."""
    time.sleep(GRACE)
    end_run()
    os._exit(status)


def before_repeat(call: Callable[[], None]) -> None:
    """Has `call` called before the process is replaced: it leaves the terminal in order."""
    _last_calls.append(call)


def repeat() -> NoReturn:
    """Replaces the process by a new one that runs the same command line."""
    for call in _last_calls:
        call()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def age() -> float:
    """Returns the seconds since the process began (proc_pid_stat(5)): a person's wait, start-up included."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return time.process_time()
