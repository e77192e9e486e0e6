"""Arriving: a blob that is still being downloaded, as a file that another thread reads from its start."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.oci.error import ImageError


class Spoiled(ImageError):
    """The download failed or began again: what was read of it is worth nothing."""


class Arriving:
    """The file `partial`, which one thread writes and one other reads. It becomes the file `whole` when it is verified.

    The reader waits for what has not arrived, and gets to the end only once the writer says that all of it is right.
    """

    def __init__(self, partial: Path, whole: Path) -> None:
        self._places = (partial, whole)
        self._changed = threading.Condition()
        self._there = 0
        self._ended = self._spoiled = False
        self._file: BinaryIO | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[int], None]]:
        """For the writer. It is given what it tells how many bytes more are there; negative: some that were are wrong.

        Leaving it without an error says that all is there and verified.
        """
        right = False
        try:
            yield self._advance
            right = True
        finally:
            with self._changed:
                self._ended = True
                self._spoiled = self._spoiled or not right
                self._changed.notify()

    def _advance(self, count: int) -> None:
        with self._changed:
            self._there += count
            self._spoiled = self._spoiled or count < 0
            self._changed.notify()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end, when all has been verified. Spoiled if it never will be."""
        at = self._file.tell() if self._file else 0
        with self._changed:
            self._changed.wait_for(lambda: self._there >= at + size or self._ended or self._spoiled)
            if self._spoiled:
                raise Spoiled(f"{self._places[1].name} did not arrive")
        if self._file is None:
            self._file = self._opened()
        return self._file.read(size)

    def seek(self, position: int) -> None:
        """Read on from `position`, which has been read already."""
        if self._file is not None:
            self._file.seek(position)

    def _opened(self) -> BinaryIO:
        for place in self._places:
            try:
                return open(place, "rb")
            except FileNotFoundError:
                continue  # it was moved to the next place, or thrown away
        raise Spoiled(f"{self._places[1].name} is gone")

    def __enter__(self) -> Arriving:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
