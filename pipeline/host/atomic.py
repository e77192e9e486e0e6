"""Atomic writes under predictable names, safe against symlinks that somebody else put there.

A file is written under a temporary name beside its place, opened with O_CREAT, O_EXCL and O_NOFOLLOW (open(2)), and
renamed: a reader sees a whole file or none, and rename(2) replaces a symlink instead of following it. Folders must not
be symlinks either: a repository can contain them.
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
"""Suffix of files that are being written."""


class ForeignFile(BadInput):
    """A file in the place of one of nodekiln's own that may lead to somebody else's."""


class SymlinkOnPath(ForeignFile):
    """A symlink in that place."""

    def __init__(self, path: Path, hint: str = "remove it") -> None:
        super().__init__(f"{path} is a symlink, which is not followed: {hint}")


def write(path: Path, data: bytes | str) -> None:
    """Writes `data` (text as UTF-8) to `path`, whole or not at all. OSError."""
    partial = path.with_name(f".{path.name.lstrip('.')}.{os.urandom(6).hex()}{SUFFIX}")
    try:
        with create(partial) as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def rename(path: Path, place: Path) -> None:
    """Gives `path` the name `place`, whose folder is created if it is not there. OSError."""
    try:
        os.replace(path, place)
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """Creates the file `path` and opens it for reading and writing. FileExistsError."""
    return _open(path, "x+b", buffering)


def recreate(path: Path, buffering: int = -1) -> BinaryIO:
    """Removes a leftover at `path`, then creates the file as `create` does."""
    path.unlink(missing_ok=True)
    return create(path, buffering)


def open_existing(path: Path, buffering: int = -1) -> BinaryIO:
    """Opens an existing file for reading and writing. ForeignFile, OSError."""
    return _open(path, "r+b", buffering)


def open_append(path: Path) -> BinaryIO:
    """Opens a file for reading and appending; creates it if it is missing. ForeignFile, OSError."""
    return _open(path, "a+b", -1)


def _open(path: Path, mode: str, buffering: int) -> BinaryIO:
    file: Any = open(path, mode, buffering, opener=_own)
    binary: BinaryIO = file
    return binary


def _own(path: str, flags: int) -> int:
    """Opens a regular file with a single name. ForeignFile for anything else."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SymlinkOnPath(Path(path)) from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        kind = "has several hard links" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        raise ForeignFile(f"{path} {kind}: remove it")
    return descriptor


def make_folder(root: Path, *names: str) -> Path:
    """Creates the folder `root`/`names` if it is missing. SymlinkOnPath, OSError."""
    place = path_without_symlinks(root, *names)
    place.mkdir(parents=True, exist_ok=True)
    return place


def path_without_symlinks(root: Path, *names: str) -> Path:
    """Returns `root`/`names`, which need not exist. SymlinkOnPath if a part of it below `root` is a symlink."""
    place = root
    for name in Path(*names).parts:
        place = place / name
        if place.is_symlink():
            raise SymlinkOnPath(place)
    return place


def files_in_subfolders(place: Path) -> list[Path]:
    """Returns the files in the folders of `place`, sorted. Symlinks are not followed."""
    folders: list[str] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(path for folder in folders for path in Path(folder).iterdir())


def symlinks(place: Path) -> Iterator[Path]:
    """Yields the symlinks in the folder `place`; none for a missing folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
