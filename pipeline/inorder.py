"""Work that threads do at once and that is taken in order: compression block by block, whose output no core decides."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

WORKERS = min(os.cpu_count() or 1, 8)
"""Threads beside the one that reads and writes. More than these it could not keep busy."""
WAITING = 8 * WORKERS
"""Blocks that may wait to be worked on or taken: memory, and how far reading runs ahead."""


Item = TypeVar("Item")
Result = TypeVar("Result")


class InOrder(Generic[Item, Result]):
    """`submit(item, take)` calls `take(work(item))` in this thread, in the order of submission; all are taken when the
    `with` block ends. `work` releases the interpreter's lock, or nothing is gained."""

    def __init__(self, work: Callable[[Item], Result]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._work = work
        self._pool = ThreadPoolExecutor(WORKERS)
        self._queue: deque[tuple[Future[Result], Callable[[Result], None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, item: Item, take: Callable[[Result], None]) -> None:
        self._queue.append((self._pool.submit(self._work, item), take))
        self.drain(WAITING)

    def drain(self, waiting: int = 0) -> None:
        """Take results until no more than `waiting` are left."""
        while len(self._queue) > waiting:
            future, take = self._queue.popleft()
            take(future.result())
