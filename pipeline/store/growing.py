"""Growing: a file that one thread writes, and that another one reads behind it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

CHUNK = 256 << 10
"""Bytes that are read at a time: few enough to be still in the processor's cache when they are used."""


class Growing:
    """`file` (opened to be read, too) is written by somebody from the byte `place` on, who says how far that came."""

    def __init__(self, file: BinaryIO, place: int) -> None:
        self._file, self._place, self._failed = file, place, False
        self._more = threading.Condition()

    def reached(self, place: int) -> None:
        """All before `place` is written, and may be read."""
        with self._more:
            self._place = place
            self._more.notify()

    def fail(self) -> None:
        """Nothing more will come; who waits for it gets an EOFError."""
        with self._more:
            self._failed = True
            self._more.notify()

    def read(self, place: int, count: int) -> Iterator[bytes]:
        """The `count` bytes from `place` on, in chunks of at most CHUNK, as they come."""
        end = place + count
        while place < end:
            data = os.pread(self._file.fileno(), min(CHUNK, end - place, self._beyond(place)), place)
            yield data
            place += len(data)

    def _beyond(self, place: int) -> int:
        """How many bytes there are from `place` on; waits for the first."""
        with self._more:
            self._more.wait_for(lambda: self._failed or self._place > place)
            if self._failed:
                raise EOFError
            return self._place - place
