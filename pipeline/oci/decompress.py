"""Inflate: the tar inside a compressed layer, as a stream with limits.

gzip (RFC 1952, any number of members), zstd (RFC 8878, frames and skippable frames), or neither. What a blob is, its
first bytes decide: registries hold layers whose media type is wrong, and the diff id says whether the result is right.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from pipeline.oci.error import Refusal

CHUNK = 1 << 20
"""Bytes that come out at a time."""
AHEAD = 4
"""Chunks that wait for whoever takes them."""
FEED = 1 << 16
"""Bytes that go in at a time. What a gzip member leaves over is copied, so this is small: members may be many."""
MEMBERS = 1 << 20
"""gzip members in one layer; eStargz has one a file."""
WINDOW = 1 << 27
"""Memory that a zstd frame may ask for: 128 MiB, what `zstd --long` uses at most unless it is forced."""


SIZE_LIMIT = 1 << 37
"""Bytes of an image's uncompressed layers together, holes of sparse files included: 128 GiB."""
RATIO_LIMIT = 200
"""Times their compressed size. Programs and texts reach 10; gzip reaches 1032 on zeros, zstd 30 000."""
FREE = 256 << 20
"""Bytes up to which the ratio is not looked at."""


class LayerFile(Protocol):
    """A layer as it is stored: a file, or one that still arrives."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> object: ...


class Budget:
    """What all layers of an image together may grow to, holes counted as zeros. Used by several threads."""

    def __init__(self, compressed: int, size: int = SIZE_LIMIT, ratio: int = RATIO_LIMIT, free: int = FREE) -> None:
        self._compressed = compressed
        self._limit = self._left = min(size, max(free, compressed * ratio))
        self._guard = threading.Lock()

    def take(self, count: int) -> None:
        with self._guard:
            self._left -= count
            if self._left < 0:
                raise Refusal(f"{self._compressed} compressed bytes grow beyond {self._limit}; that is no image")


def inflate(source: LayerFile, budget: Budget) -> Iterator[bytes]:
    """The uncompressed bytes of the layer `source`, in chunks of at most CHUNK."""
    for chunk in _decoded(source):
        budget.take(len(chunk))
        yield chunk


def _decoded(source: LayerFile) -> Iterator[bytes]:
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
    """What follows a member: another one, zeros (tapes pad with them), or nothing."""
    while len(data) < 2 and (more := source.read(FEED)):
        data += more
    if not data or data[:2] == b"\x1f\x8b":
        return data
    while data:
        if data.strip(b"\0"):
            raise Refusal("something that is no gzip follows the gzip stream")
        data = source.read(FEED)
    return b""


def _zstd(source: Any) -> Iterator[bytes]:
    import zstandard

    # A frame that is cut off ends quietly here; the diff id tells.
    decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    with decoder.stream_reader(source, read_size=FEED, read_across_frames=True, closefd=False) as reader:
        try:
            while chunk := reader.read(CHUNK):
                yield chunk
        except zstandard.ZstdError as error:
            raise Refusal(f"a broken zstd stream: {error}") from None


def ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """`chunks`, made by another thread while the last ones are used: zlib, hashing and writing all leave the GIL."""
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def run() -> None:
        try:
            for chunk in chunks:
                waiting.put(chunk)
                if stop.is_set():
                    return
            waiting.put(None)
        except BaseException as error:
            waiting.put(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get(timeout=0.01)
        thread.join()
