"""An ordered thread pool: parallel work, results in the order of submission. Used to compress block by block."""

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
"""Number of threads, including the submitting one."""
MAX_QUEUED = 16 * WORKERS
"""Maximum number of queued items and results. Callers with large items should call `drain` earlier."""


Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = SimpleQueue[Callable[[], None]]
"""Receives one call, which delivers the result or raises."""


class OrderedThreadPool(Generic[Item, Result]):
    """`submit(item, take)` calls `take(work(item))` in the submitting thread, in the order of submission.

    `work` should release the interpreter's lock. Its exceptions are raised in place of its results. At the end of the
    `with` block all results are taken; if it fails, queued items are dropped. Futures would take four times as long.
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
        if len(self._answers) > MAX_QUEUED:
            self.drain(MAX_QUEUED // 2)

    def drain(self, remaining: int = 0) -> None:
        """Takes results until at most `remaining` are left."""
        answers = [self._answers.popleft() for _ in range(len(self._answers) - remaining)]
        deliveries = [self._wait(answer) for answer in reversed(answers)]  # usually the others are ready with the last
        while deliveries:
            deliveries.pop()()

    def _wait(self, answer: Answer) -> Callable[[], None]:
        """Waits for `answer`. This thread works meanwhile, so that no more threads run than there are cores."""
        with suppress(Empty):
            while answer.empty():
                self._do(self._jobs.get_nowait())
        return answer.get()

    def _serve(self) -> None:
        """Works until it receives None."""
        while job := self._jobs.get():
            self._do(job)
            del job  # frees memory while waiting for the next

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
