"""The tar inside a compressed layer, as a stream with limits.

gzip (RFC 1952, any number of members), zstd (RFC 8878, frames and skippable frames), or plain. The format is that of
the first bytes: registries hold layers with a wrong media type, and the diff id proves whether the result is right.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from pipeline.oci.error import Refusal
from pipeline.store import CHUNK

AHEAD = 4
"""Chunks that are decompressed ahead of the consumer."""
FEED = 1 << 16
"""Bytes that go in at a time. The rest after a gzip member is copied, so this is small: members may be many."""
MEMBERS = 1 << 20
"""Maximum number of gzip members in a layer; eStargz has one a file."""
ZSTD_WINDOW = 1 << 27
"""Maximum memory of a zstd frame, in bytes: 128 MiB, the most that `zstd --long` uses unless it is forced."""
SIZE_LIMIT = 1 << 37
"""Maximum size of an image's uncompressed layers, in bytes: 128 GiB, holes of sparse files included."""
RATIO_LIMIT = 200
"""Maximum ratio to their compressed size. Programs and texts reach 10; gzip reaches 1032 on zeros, zstd 30 000."""
FREE = 256 << 20
"""Uncompressed bytes to which the ratio does not apply."""


class LayerFile(Protocol):
    """The bytes of a layer: a file, or a download."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> object: ...


class Budget:
    """The size that all layers of an image may grow to together, holes counted as zeros. Thread-safe."""

    def __init__(self, compressed: int, size: int = SIZE_LIMIT, ratio: int = RATIO_LIMIT, free: int = FREE) -> None:
        self._compressed = compressed
        self._limit = self._left = min(size, max(free, compressed * ratio))
        self._guard = threading.Lock()

    def take(self, count: int) -> None:
        with self._guard:
            self._left -= count
            if self._left < 0:
                raise Refusal(f"{self._compressed} compressed bytes grow beyond {self._limit}; that is not an image")


def decompress(source: LayerFile, budget: Budget) -> Iterator[bytes]:
    """Yields the uncompressed bytes of a layer, in chunks of at most CHUNK. Refusal."""
    for chunk in decoder(source):
        budget.take(len(chunk))
        yield chunk


def decoder(source: LayerFile) -> Iterator[bytes]:
    """Returns the uncompressed bytes of gzip, zstd or plain data, in chunks of at most CHUNK. Refusal."""
    magic = source.read(4)
    source.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return _gzip(source)
    if magic == b"\x28\xb5\x2f\xfd" or (magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50):
        return _zstd(source)
    return iter(lambda: source.read(CHUNK), b"")


def _gzip(source: LayerFile) -> Iterator[bytes]:
    zlib: Any
    try:
        from isal import isal_zlib as zlib
    except ImportError:
        import zlib

    data, count = source.read(FEED), 0
    while data:
        member, count = zlib.decompressobj(31), count + 1
        if count > MEMBERS:
            raise Refusal(f"more than {MEMBERS} gzip members")
        while not member.eof:
            if not data:
                raise Refusal("the gzip stream is cut off")
            try:
                yield member.decompress(data, CHUNK)
            except zlib.error as error:
                raise Refusal(f"a broken gzip stream: {error}") from None
            data = member.unconsumed_tail or (b"" if member.eof else source.read(FEED))
        data = _next_member(member.unused_data, source)


def _next_member(data: bytes, source: LayerFile) -> bytes:
    """Returns the start of the next member; b"" at the end, which zeros may pad as on tapes."""
    while len(data) < 2 and (more := source.read(FEED)):
        data += more
    if not data or data[:2] == b"\x1f\x8b":
        return data
    while data:
        if data.strip(b"\0"):
            raise Refusal("the gzip stream is followed by something else")
        data = source.read(FEED)
    return b""


def _zstd(source: Any) -> Iterator[bytes]:
    import zstandard

    # The end of a frame that is cut off is not reported here; the diff id proves it.
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    with decoder.stream_reader(source, read_size=FEED, read_across_frames=True, closefd=False) as reader:
        try:
            while chunk := reader.read(CHUNK):
                yield chunk
        except zstandard.ZstdError as error:
            raise Refusal(f"a broken zstd stream: {error}") from None


def read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields `chunks`, which another thread computes: zlib, hashing and writing release the interpreter's lock."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    try:
        pending = deque(pool.submit(next, chunks, None) for _ in range(AHEAD))
        while (chunk := pending.popleft().result()) is not None:
            yield chunk
            pending.append(pool.submit(next, chunks, None))
    finally:
        pool.shutdown(cancel_futures=True)
