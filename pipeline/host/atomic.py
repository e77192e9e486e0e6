"""Atomic: files under names that others can predict, written so that nobody can send the bytes elsewhere.

A file is written under another name beside its place, opened with O_CREAT, O_EXCL and O_NOFOLLOW (open(2)), and
renamed: a reader finds a whole file or none, and rename(2) replaces a symlink instead of following it. Folders that
are made on the way must not be symlinks, as a repository may bring them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.model.errors import BadInput

SUFFIX = ".partial"
"""End of the names of files that are being written."""


class ForeignFile(BadInput):
    """Something stands where nodekiln makes files of its own, and may lead to somebody else's."""


class SymlinkOnPath(ForeignFile):
    """A symlink stands there."""

    def __init__(self, path: Path, right: str = "remove it") -> None:
        super().__init__(f"{path} is a symlink, which is not followed: {right}")


def write(path: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) to `path`, whole or not at all. OSError."""
    partial = path.with_name(f".{path.name.lstrip('.')}.{os.urandom(6).hex()}{SUFFIX}")
    try:
        with create(partial) as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """The new file `path`, open to be read and written. FileExistsError if anything has that name."""
    return _opened(path, "x+b", buffering)


def recreate(path: Path, buffering: int = -1) -> BinaryIO:
    """The same after what had the name `path`, a killed process's leftover say, was removed."""
    path.unlink(missing_ok=True)
    return create(path, buffering)


def open_existing(path: Path, buffering: int = -1) -> BinaryIO:
    """The existing file `path`, open to be read and written. ForeignFile; OSError."""
    return _opened(path, "r+b", buffering)


def open_append(path: Path) -> BinaryIO:
    """The file `path`, made if need be, open to be read and appended to. ForeignFile; OSError."""
    return _opened(path, "a+b", -1)


def _opened(path: Path, mode: str, buffering: int) -> BinaryIO:
    file: Any = open(path, mode, buffering, opener=_own)
    opened: BinaryIO = file
    return opened


def _own(path: str, flags: int) -> int:
    """Open a regular file that has no other name; ForeignFile for anything else."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SymlinkOnPath(Path(path)) from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise ForeignFile(f"{path} is no regular file, or is another file by a second name: remove it")
    return descriptor


def make_folder(root: Path, *names: str) -> Path:
    """Creates the folder `root`/`names` if it is missing. SymlinkOnPath, OSError."""
    place = path_without_symlinks(root, *names)
    place.mkdir(parents=True, exist_ok=True)
    return place


def path_without_symlinks(root: Path, *names: str) -> Path:
    """`root`/`names`, there or not. SymlinkOnPath if something on the way from `root` is a symlink."""
    place = root
    for name in Path(*names).parts:
        place = place / name
        if place.is_symlink():
            raise SymlinkOnPath(place)
    return place


def files_in_subfolders(place: Path) -> list[Path]:
    """The files in the folders of `place`, in order. What lies behind symlinks is not seen."""
    folders: list[str] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(path for folder in folders for path in Path(folder).iterdir())


def symlinks(place: Path) -> Iterator[Path]:
    """The symlinks in `place`. Nothing if there is no `place`."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
