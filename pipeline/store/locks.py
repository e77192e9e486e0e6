"""File locks that the kernel releases when a process ends (flock), and leases made of them.

A lock is a file that exists while a process holds it or waits for it. The holder removes the file before it releases
the lock; a process that acquires a lock whose file was removed (no link is left) tries again. Only killed processes
leave files behind, and those lock nobody out.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import time
from pathlib import Path

from pipeline.host import log

LOCK = ".lock"


def take(path: Path, wait: bool = True) -> int | None:
    """Acquires the exclusive lock `path`; returns its open file, None if it is taken and `wait` is false."""
    while True:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _lock(path, file, wait)
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        if os.fstat(file).st_nlink:
            return file
        os.close(file)


def _lock(path: Path, file: int, wait: bool) -> None:
    """BlockingIOError if somebody has the lock and `wait` is false."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        log.info("lock: waiting for %s", path)
        began = time.monotonic()
        fcntl.flock(file, fcntl.LOCK_EX)
        log.info("lock: got %s after %.2f s", path, time.monotonic() - began)


def drop(path: Path, file: int) -> None:
    """Releases the lock `path`, of which `take` returned `file`."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(file)


def sweep(folder: Path) -> None:
    """Removes the files of locks in `folder` that killed processes left."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if (file := take(path, wait=False)) is not None:
                drop(path, file)


class Lease:
    """Names in `folder` that belong to this process until it ends.

    `<lease>.lock` is locked all the while. Acquiring it proves that the owner has exited, so its `<lease>.*` files can
    be deleted. The lock exists before the first of them, and is removed after the last.
    """

    def __init__(self, folder: Path) -> None:
        self._stem = folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        self._lock = self._stem.with_suffix(LOCK)
        self._owner = os.getpid()
        self._file = take(self._lock)
        self._numbers = itertools.count()

    def name(self) -> Path:
        """Returns a new name, unique also between processes that share the lease by fork."""
        return self._stem.with_suffix(f".{os.getpid()}-{next(self._numbers)}")

    def end(self) -> None:
        """Removes files under these names and ends the lease. Does nothing in a forked child, whose parent owns it."""
        if self._file is not None and self._owner == os.getpid():
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                _clear(self._stem)
            drop(self._lock, file)


def leases(folder: Path, kept: str) -> list[Path]:
    """Removes what exited owners of leases left in `folder`, and returns the locks of those that still run.

    Names that start with `kept` belong to no lease and stay.
    """
    alive = []
    for lock in folder.glob(f"*{LOCK}"):
        try:
            file = take(lock, wait=False)
        except OSError:  # another user's
            file = None
        if file is None:
            alive.append(lock)
            continue
        with contextlib.suppress(OSError):
            _clear(lock.with_suffix(""))
        drop(lock, file)
    for entry in folder.iterdir():
        if not entry.name.startswith(kept) and not entry.with_suffix(LOCK).exists():
            with contextlib.suppress(OSError):
                _remove(entry)
    return alive


def _clear(stem: Path) -> None:
    for entry in stem.parent.iterdir():
        if entry.stem == stem.name and entry.suffix != LOCK:
            _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
