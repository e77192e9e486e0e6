"""Locks that the kernel holds (flock): whatever ends a process, its locks go with it.

A lock is a file that exists while somebody holds or wants it. Who lets go removes the file while still holding it;
who gets a lock whose file was removed meanwhile (no link is left) asks again. So nothing is ever left to clean up but
the files of killed processes, and those lock nobody out.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
from pathlib import Path

LOCK = ".lock"


def take(path: Path, wait: bool = True) -> int | None:
    """Get the exclusive lock `path`; returns its open file, None if somebody has it and `wait` is false."""
    while True:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        if os.fstat(file).st_nlink:
            return file
        os.close(file)


def drop(path: Path, file: int) -> None:
    """Let go of a lock that `take` gave."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(file)


def sweep(folder: Path) -> None:
    """Remove the files of locks in `folder` that nobody holds: killed processes left them."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if (file := take(path, wait=False)) is not None:
                drop(path, file)


class Lease:
    """Names in `folder` that are one's own for as long as this process lives and wants them.

    `<lease>.lock` is held all the while: who can take it knows that the owner is dead, and that the files whose names
    start with `<lease>.` are nobody's. The lock is there before the first of them and goes after the last.
    """

    def __init__(self, folder: Path) -> None:
        self._stem = folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        self._lock = self._stem.with_suffix(LOCK)
        self._owner = os.getpid()
        self._file = take(self._lock)
        self._numbers = itertools.count()

    def name(self) -> Path:
        """A new name; from two processes that share a lease by fork, too."""
        return self._stem.with_suffix(f".{os.getpid()}-{next(self._numbers)}")

    def end(self) -> None:
        """Remove what is left under these names, and let go. Not for a forked child: the lease is its parent's."""
        if self._file is not None and self._owner == os.getpid():
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                _clear(self._stem)
            drop(self._lock, file)


def leases(folder: Path, kept: str) -> list[Path]:
    """The locks of the leases in `folder` whose owners live. What dead ones left behind is removed on the way.

    Names that start with `kept` belong to no lease and stay.
    """
    alive = []
    for lock in folder.glob(f"*{LOCK}"):
        try:
            file = take(lock, wait=False)
        except OSError:  # somebody else's, who may not be judged
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
