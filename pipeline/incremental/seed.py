"""Seeds: the previous version of an output file, reused so that the next export writes the chunks that changed.

When an export replaces a file that an export made, the store keeps the old file, and a memo of its chunks and of its
state, as for verified blobs. The next export of the same path takes it, writes the chunks that differ and renames it.
The file that has the name is never written to.

A seed has no other name, and is only taken while nobody has it open: the kernel grants a lease to write (fcntl(2)) on
such a file alone. Where a seed cannot be kept (another file system) or taken (another user's), there is none.

A file that an export made at another path with the same content is better than a seed: the new one shares its blocks
where the file system can (pipeline.incremental.clone). It is never a second name of that file, as whoever writes into
one of them, such as a virtual machine, must not change the other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from pipeline.host import atomic
from pipeline.host.stamp import stamp
from pipeline.incremental.chunks import chunks, name_of
from pipeline.incremental.clone import clone
from pipeline.incremental.resumable_sha256 import ResumableSha256, known_digest, note_digest
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content
from pipeline.store import SEEDS, Store
from pipeline.store.interfaces import ReadRange, Seed

CLONED = 64 << 10
"""Smallest content that is worth a clone, in bytes."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


class FileSeed(Seed):
    """The previous version of a file, and the hash states of the last one."""

    def __init__(self, store: Store, content: Content, path: Path) -> None:
        super().__init__(store, content, path)
        self._chunks = chunks(content)
        self._names = [chunk.name for chunk in self._chunks]
        self._reused: Sequence[str] = ()
        self._file = store.root / SEEDS / hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        self.digest = known_digest(store, self._chunks)
        if self.digest is None:
            self._hash = ResumableSha256(store, self._chunks, str(path.absolute()))
            self.start = self._hash.start

    def is_current(self) -> bool:
        """Returns whether `path` was exported with the same chunks, and not written to since."""
        return bool(self._names) and self._names == chunk_names(self._store, self._path)

    def open(self, partial: Path) -> BinaryIO:
        """Opens `partial`: a clone of another file if that is possible, else the seed if there is one, else a new
        file."""
        if file := self._clone(partial):
            self._file.unlink(missing_ok=True)
            return file
        if (names := chunk_names(self._store, self._file)) and (file := _taken(self._file, partial)):
            self._reused, self.dirty = names, True
            return file
        self._file.unlink(missing_ok=True)
        return super().open(partial)

    def _clone(self, partial: Path) -> BinaryIO | None:
        """Opens `partial` with the content that another path has; None where that is not possible."""
        if (source := self._copy()) is None:
            return None
        file = atomic.recreate(partial, buffering=0)
        if clone(source, file.fileno()) and self._copy() == source:
            self._reused = self._names
            return file
        file.close()
        return None

    def _copy(self) -> Path | None:
        """Returns another path with the content, of which no byte was written since an export made it; None if none is
        known. Contents below CLONED bytes have none."""
        if self.digest is None or trees.length(self._content) < CLONED:
            return None
        path = Path(self._store.memo.get(self._copy_name) or self._path)
        known = path != self._path.absolute() and chunk_names(self._store, path) == self._names
        return path if known else None

    @property
    def _copy_name(self) -> str:
        return f"copy of {name_of(self._chunks)}"

    def runs(self) -> Iterator[tuple[int, Content]]:
        """Yields the runs of chunks that the seed does not have."""
        first = 0 if self.digest else self._hash.chunk
        yield from self._missing(first, len(self._chunks))
        yield from self._missing(0, first)

    def _missing(self, first: int, end: int) -> Iterator[tuple[int, Content]]:
        offset = sum(chunk.size for chunk in self._chunks[:first])
        for reused, numbers in groupby(range(first, end), self._is_reused):
            run = [self._chunks[number] for number in numbers]
            if not reused:
                yield offset, trees.joined(chunk.content for chunk in run)
            offset += sum(chunk.size for chunk in run)

    def _is_reused(self, number: int) -> bool:
        return number < len(self._reused) and self._reused[number] == self._names[number]

    def hash(self, read: ReadRange) -> Digest:
        digest = self._hash.hash(read)
        note_digest(self._store, self._chunks, digest)
        return digest

    def replace(self, partial: Path) -> None:
        """Renames `partial` to `path`. What `path` was becomes the seed, if an export made it."""
        names = chunk_names(self._store, self._path)
        try:
            if names:
                os.link(self._path, self._file, follow_symlinks=False)
        except OSError:
            names = []
        os.replace(partial, self._path)
        if names:
            _note(self._store, self._file, names)
        _note(self._store, self._path, self._names)
        if trees.length(self._content) >= CLONED and self._copy() is None:
            self._store.memo.put(self._copy_name, str(self._path.absolute()))


def chunk_names(store: Store, path: Path) -> list[str]:
    """Returns the names of the chunks of the file `path`; none if they are unknown, or it was written to since."""
    state, _, names = (store.memo.get(_name(path)) or "").partition("\n")
    return names.split() if state and state == _state(path) else []


def _note(store: Store, path: Path, names: Sequence[str]) -> None:
    """Memoises that the file `path`, as it is now, has chunks with these names."""
    store.memo.put(_name(path), "\n".join((_state(path), " ".join(names))))


def _name(path: Path) -> str:
    return f"chunks of {path.absolute()}"


def _state(path: Path) -> str:
    """Returns an identifier of the state of the file `path`; "" if there is none, or it has another name as well."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return ""
    return " ".join(map(str, (_boot(), *stamp(status)))) if status.st_nlink == 1 else ""


@cache
def _boot() -> str:
    """Returns the machine's boot ID: after a loss of power, files may lack what was not yet on the disk."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _taken(seed: Path, partial: Path) -> BinaryIO | None:
    """Renames `seed` to `partial` and opens it; None if that fails, or somebody else has it open or mapped."""
    try:
        os.replace(seed, partial)
        file = atomic.open_existing(partial, buffering=0)
    except (OSError, atomic.ForeignFile):
        return None
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        file.close()
        partial.unlink()
        return None
    return file
