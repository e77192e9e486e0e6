"""A blob that is being downloaded, which another thread reads from its start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from pipeline.oci.error import ImageError
from pipeline.store.tail import Tail


class DownloadFailed(ImageError):
    """The download failed or started over: bytes that were read of it are void."""


class Download:
    """The file `partial`, written by one thread and read by another; once verified it is renamed to `blob`.

    Reads block until the bytes have been written. The end of the file is reached only after verification.
    """

    def __init__(self, partial: Path, blob: Path) -> None:
        self._paths = (partial, blob)
        self._tail = Tail()
        self._file: BinaryIO | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[int], None]]:
        """Yields the writer's callback for the number of bytes written; negative if earlier bytes were wrong.

        Leaving the block without an error means that the file is complete and verified.
        """
        with self._tail:
            yield self._advance

    def _advance(self, count: int) -> None:
        if count < 0:
            self._tail.finish(failed=True)
        self._tail.reached(self._tail.end + count)

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer only at the end of a verified file. DownloadFailed."""
        position = self._file.tell() if self._file else 0
        try:
            self._tail.wait(position + size)
        except EOFError:
            raise DownloadFailed(f"the download of {self._paths[1].name} failed") from None
        if self._file is None:
            self._file = self._open()
        return self._file.read(size)

    def seek(self, position: int) -> None:
        """Moves the reader to `position`, which was read before."""
        if self._file is not None:
            self._file.seek(position)

    def _open(self) -> BinaryIO:
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):  # it was renamed to the next path, or deleted
                return open(path, "rb")
        raise DownloadFailed(f"{self._paths[1].name} is gone")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
