"""Common parts of all wires: limits of a transfer, calls side by side, and the form of an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.shared.wire import WireError

THREADS = 32
"""Number of requests of one kind that a wire has under way."""
MIN_RATE = 256 << 10
"""Minimum speed of a transfer, in bytes per second; a server below it is too slow."""
STATEMENT_LIMIT = 4 << 20
"""Maximum size of a statement, in bytes: that of a gRPC message and of a manifest."""
RETRY_SECONDS = 0.2
"""Time before the one repetition of a request that failed, in seconds, if the server names none."""
PIECE = 1 << 20
"""Size of a piece of a blob, in bytes."""
REASON_LIMIT = 300
"""Maximum length of a server's own words in an error, in characters."""

T = TypeVar("T")
R = TypeVar("R")


def failure(address: str, reason: object) -> WireError:
    """Returns the error about `address`: `reason` in one line of ASCII."""
    text = ascii(" ".join(str(reason).split()))[1:-1]
    return WireError(f"{address}: {text[:REASON_LIMIT]}")


def missing_extra(address: str, extra: str) -> WireError:
    """Returns the error for a wire whose library is not installed."""
    return WireError(f"{address}: its library is not installed: pip install 'nodekiln[{extra}]'")


def check_online(address: str) -> None:
    """Raises WireError in offline mode."""
    if is_offline():
        raise WireError(f"{address}: not asked: {VARIABLE} is set")


def deadline(timeout: float, size: int) -> float:
    """Returns the seconds in which `size` bytes must have been transferred."""
    return timeout + size / MIN_RATE


def side_by_side(call: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yields `call(item)` of all `items`, in their order; THREADS run at once. After an error no further one starts."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(THREADS, "shared")
    try:
        yield from pool.map(call, items)
    finally:
        pool.shutdown(cancel_futures=True)


def limited(pieces: Iterable[bytes], size: int, timeout: float, address: str) -> Iterator[bytes]:
    """Yields `pieces` until more than `size` bytes have come. WireError if the source is slower than `deadline`.

    The time between two pieces, which the consumer takes, does not count.
    """
    count, seconds = 0, 0.0
    source = iter(pieces)
    while count <= size:
        start = time.monotonic()
        piece = next(source, None)
        seconds += time.monotonic() - start
        if piece is None:
            return
        count += len(piece)
        if seconds > deadline(timeout, count):
            raise failure(address, f"too slow: {count} bytes in {seconds:.0f} seconds")
        yield piece
