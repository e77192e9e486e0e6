"""A pool of threads whose results are taken in the order of submission, so that output does not depend on cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

WORKERS = min(os.cpu_count() or 1, 8)
"""Maximum number of threads, including the one that submits; more than these it could not keep busy."""
WAITING = 16 * WORKERS
"""Maximum queued items. Callers with large items call `drain` earlier."""


Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = SimpleQueue[Callable[[], None]]
"""Receives a callback that takes the result of one item, or raises its error."""


class OrderedThreadPool(Generic[Item, Result]):
    """Calls `work(item)` in threads and `take(result)` in the submitting thread, in the order of `submit`.

    The end of the `with` block takes all results. `work` gains only if it releases the interpreter's lock. Its error is
    raised where its result would be taken. If the block fails, items that no thread has begun are dropped. Futures of
    concurrent.futures would take four times as long for each block.
    """

    def __init__(self, work: Callable[[Item], Result]) -> None:
        self._work = work
        self._threads: list[Thread] = []
        self._jobs: SimpleQueue[tuple[Item, Callable[[Result], None], Answer] | None] = SimpleQueue()
        self._answers: deque[Answer] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self._end()

    def submit(self, item: Item, take: Callable[[Result], None]) -> None:
        if len(self._threads) < max(WORKERS - 1, 1):
            self._threads.append(Thread(target=self._serve))
            self._threads[-1].start()
        answer: Answer = SimpleQueue()
        self._jobs.put((item, take, answer))
        self._answers.append(answer)
        if len(self._answers) > WAITING:
            self.drain(WAITING // 2)

    def drain(self, waiting: int = 0) -> None:
        """Takes results until at most `waiting` are left."""
        due = [self._answers.popleft() for _ in range(len(self._answers) - waiting)]
        results = [self._awaited(answer) for answer in reversed(due)]  # the last first: others are there with it
        while results:
            results.pop()()

    def _awaited(self, answer: Answer) -> Callable[[], None]:
        """Waits for `answer`. Until it comes, this thread works on queued items itself."""
        with suppress(Empty):
            while answer.empty():
                self._do(self._jobs.get_nowait())
        return answer.get()

    def _serve(self) -> None:
        """Works on items until the next one is None."""
        while job := self._jobs.get():
            self._do(job)
            del job  # it is large, and the next may be long in coming

    def _do(self, job: tuple[Item, Callable[[Result], None], Answer] | None) -> None:
        assert job is not None
        item, take, answer = job
        try:
            answer.put(partial(take, self._work(item)))
        except BaseException as error:
            answer.put(partial(_fail, error))

    def _end(self) -> None:
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()


def _fail(error: BaseException) -> NoReturn:
    raise error
