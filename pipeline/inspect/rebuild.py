"""A rebuild under other conditions: `python -m pipeline.inspect.rebuild` builds in the current folder.

The caller (pipeline.inspect.runs) sets user, umask and environment; what only the process itself can change (the clock,
the order of directory listings, the number of processors) is in the JSON on its standard input.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Self

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def main() -> int:
    """Builds `targets` (doit's tasks) under `conditions`, both from standard input; returns doit's exit code."""
    end_with_parent()
    request = json.load(sys.stdin)
    conditions = request["conditions"]
    if conditions["now"] is not None:
        pretend_now(conditions["now"])
    if conditions["processors"] is not None:
        pretend_processors(conditions["processors"])
    shuffle_listings(conditions["listing"])
    words = ["run", "-n", str(conditions["threads"]), "-P", "thread", *request["targets"]]
    if conditions["warm"]:
        if code := _build(words):
            return code
        _forget_half()
    return _build(words)


def _build(words: list[str]) -> int:
    from doit.doit_cmd import DoitMain

    from pipeline.tasks import Loader

    code: int = DoitMain(Loader()).run(words)
    return code


def _forget_half() -> None:
    """Removes the results and every second record of the store, so that the rest is used again."""
    from pipeline.project.project import CACHE, RESULTS

    shutil.rmtree(RESULTS)
    records = sorted(os.path.join(folder, name) for folder, _, names in os.walk(f"{CACHE}/actions") for name in names)
    for path in records[::2]:
        os.unlink(path)


def end_with_parent() -> None:
    """Lets the kernel send SIGTERM when the parent process dies, however that happens (prctl(2))."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pretend_now(now: int) -> None:
    """Sets Python's clocks to `now` (seconds since 1970). Must run before anything imports from `datetime`."""
    _shift_clocks(now - int(time.time()))
    _follow_clocks()


def _shift_clocks(offset: int) -> None:
    """Adds `offset` seconds to the clocks of the module `time`."""
    real, real_ns = time.time, time.time_ns
    gmtime, localtime, strftime, ctime, asctime = time.gmtime, time.localtime, time.strftime, time.ctime, time.asctime
    clocks: dict[str, Callable[..., Any]] = {
        "time": lambda: real() + offset,
        "time_ns": lambda: real_ns() + offset * 10**9,
        "gmtime": lambda seconds=None: gmtime(real() + offset if seconds is None else seconds),
        "localtime": lambda seconds=None: localtime(real() + offset if seconds is None else seconds),
        "ctime": lambda seconds=None: ctime(real() + offset if seconds is None else seconds),
        "asctime": lambda moment=None: asctime(localtime(real() + offset) if moment is None else moment),
        "strftime": lambda form, moment=None: strftime(form, localtime(real() + offset) if moment is None else moment),
    }
    _replace(time, clocks)


def _follow_clocks() -> None:
    """Makes the classes of `datetime` use the clocks of `time`."""
    import datetime

    class Moment(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Self:
            return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Self:
            return cls.fromtimestamp(time.time())

    class Day(datetime.date):
        @classmethod
        def today(cls) -> Self:
            return cls.fromtimestamp(time.time())

    _replace(datetime, {"datetime": Moment, "date": Day})


def pretend_processors(count: int) -> None:
    """Limits the process to `count` processors."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    _replace(os, {"cpu_count": lambda: count})


def shuffle_listings(seed: int) -> None:
    """Lists the host's directories in an order that depends on `seed` (0: sorted)."""
    listdir, scandir = os.listdir, os.scandir

    def order(entries: list[Any], key: Callable[[Any], Any]) -> list[Any]:
        entries.sort(key=key)
        if seed:
            random.Random(seed).shuffle(entries)
        return entries

    def scan(path: Any = ".") -> Scan:
        with scandir(path) as entries:
            return Scan(order(list(entries), lambda entry: entry.name))

    _replace(os, {"listdir": lambda path=".": order(listdir(path), lambda name: name), "scandir": scan})


class Scan:
    """A result of os.scandir: an iterator that can be closed."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def _replace(module: ModuleType, names: Mapping[str, Any]) -> None:
    for name, value in names.items():
        setattr(module, name, value)


if __name__ == "__main__":
    sys.exit(main())
