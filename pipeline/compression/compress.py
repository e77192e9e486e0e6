"""Compression by name (`zstd:12`, `gzip`, `none`), and a Sink that compresses into another Sink.

The output depends only on the input, on every machine and with any number of cores:

- one pinned library for each format. VERSION names them; modules that compress include it in their own VERSION.
- one code path: zstd always uses its multi-threaded encoder with a fixed job size, because the single-threaded one has
  other output; gzip always uses libdeflate, because the version of zlib is the system's.
- no time or host in a header (RFC 1952: MTIME 0; RFC 8878).

The kernel's initramfs loader reads both (lib/decompress_unzstd.c, lib/decompress_inflate.c).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.model.errors import BadInput, NodekilnError
from pipeline.model.tree import Content, Read, Sink, Transform

ZSTANDARD = "0.25.0"
"""The pinned release of `zstandard`; its wheels contain libzstd 1.5.7."""
DEFLATE = "0.9.0"
"""The pinned release of `deflate`, which contains libdeflate."""
LZ4 = "4.4.5"
"""The pinned release of `lz4`."""
VERSION = f"4 zstandard-{ZSTANDARD} deflate-{DEFLATE}"

WINDOW_LOG = 25
"""Log2 of zstd's window, in bytes: 32 MiB. It saves 14 % of a node, as Go programs contain the same code. Booting needs
this much memory temporarily. The kernel's limit is 27."""
JOB = 12 << 20
"""Size of a job of one zstd worker, in bytes; the output depends on it. zstd needs memory for up to twelve jobs. With
8 MiB the output is 1 % larger."""
WORKERS = 2
"""Number of threads of one zstd stream, at least 1. The output does not depend on it. Each needs 50 MB of memory."""
OVERLAP_LOG = 9
"""A job can refer to a whole window of the previous job."""
FAR_RATE_LOG = 7
"""Log2 of the distance between positions that zstd's long-distance matcher indexes. The matcher makes level 4 as small
as level 6 in half the time, and level 9 a third faster."""
HIGH_LEVEL = 19
"""From this level on memory is limited: tables of at most HIGH_LEVEL_TABLES, smaller jobs and overlaps. A process stays
below 300 MB; level 22 would need 900 MB and save 0.01 %."""
HIGH_LEVEL_JOB = 8 << 20
HIGH_LEVEL_TABLES = {"chain_log": 24, "hash_log": 22}
BLOCK = 128 << 10
"""Size of a block that is compressed on its own, in bytes. `_block_parameters` tunes zstd's levels for it."""
BLOCK_TABLE_LOG = 16
"""Log2 of the maximum number of entries of a hash table, so that it fits into the processor's cache: level 4 is 4 %
faster for 0.08 % more bytes."""
BLOCK_SEARCH_LOG = 6
"""Log2 of the maximum number of positions that zstd compares in a block."""
MAX_GZIP = 1 << 30
"""Maximum size of the input of gzip, in bytes: libdeflate needs all of it in memory."""
OUTPUT_CHUNK = 1 << 20
"""Size of a chunk of zstd's output, in bytes."""
ZERO_RUN = bytes(1 << 20)

LEVELS = {"zstd": (1, 4, 22), "gzip": (1, 6, 12), "none": (0, 0, 0)}
"""Minimum, default and maximum level. Measured on fragments of benchmarks/incremental.py's node, 299 MiB, two cores:
zstd:1 1.1 s 98 MB, zstd:4 1.7 s 87 MB, zstd:9 4.7 s 80 MB, zstd:12 9.2 s 79 MB; gzip:6 4.7 s 102 MB."""

_large = threading.Lock()
"""Lock for zstd streams of several jobs: two at once would need twice 200 MB and not be faster."""


class LackingPackage(NodekilnError):
    """A Python package that is not installed with nodekiln everywhere, and is needed now."""


class InvalidCompression(BadInput):
    """An unknown compression, or content that it cannot compress."""


class Compression(NamedTuple):
    name: str
    level: int

    def __str__(self) -> str:
        return self.name if self.name == "none" else f"{self.name}:{self.level}"


def parse(unsafe_text: str) -> Compression:
    """Parses `zstd[:level]`, `gzip[:level]` or `none`. InvalidCompression."""
    name, colon, unsafe_level = unsafe_text.partition(":")
    if name not in LEVELS or (colon and name == "none"):
        raise InvalidCompression(f"{unsafe_text!r} is not a compression: use zstd[:level], gzip[:level] or none")
    low, default, high = LEVELS[name]
    if not colon:
        return Compression(name, default)
    if not unsafe_level.isascii() or not unsafe_level.isdecimal() or not low <= int(unsafe_level[:4]) <= high:
        raise InvalidCompression(f"{unsafe_level!r} is not a level of {name}: use {low} to {high}")
    return Compression(name, int(unsafe_level))


class Codec(Protocol):
    """Compresses one stream. `compress` may buffer input; `finish` ends the frame. Output comes in chunks."""

    def compress(self, data: bytes) -> Iterable[bytes]: ...
    def finish(self) -> Iterable[bytes]: ...


class CompressingSink:
    """A Sink that writes compressed bytes to `out`."""

    def __init__(self, codec: Codec, out: Sink, read: Read) -> None:
        self._codec = codec
        self._out = out
        self._read = read
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        for chunk in self._codec.compress(data):
            self._out.write(chunk)

    def extend(self, content: Content) -> None:
        for data in self._read(content):
            self.write(data)

    def zeros(self, count: int) -> None:
        while count:
            size = min(count, len(ZERO_RUN))
            self.write(ZERO_RUN[:size])
            count -= size

    def tell(self) -> int:
        """Returns the number of bytes written, before compression."""
        return self._size

    def close(self) -> None:
        """Ends the frame."""
        for chunk in self._codec.finish():
            self._out.write(chunk)


@contextlib.contextmanager
def compressor(compression: Compression, size: int, out: Sink, read: Read) -> Iterator[CompressingSink]:
    """Yields a Sink that compresses exactly `size` bytes into one frame (zstd) or member (gzip) at `out`.

    `read` resolves content references passed to `extend`. InvalidCompression beyond the limit of gzip; ValueError for
    another number of bytes.
    """
    many_jobs = compression.name == "zstd" and size > (HIGH_LEVEL_JOB if compression.level >= HIGH_LEVEL else JOB)
    with _large if many_jobs else contextlib.nullcontext():
        sink = CompressingSink(_codec(compression, size), out, read)
        yield sink
        if sink.tell() != size:
            raise ValueError(f"{sink.tell()} bytes were written instead of {size}")
        sink.close()


def zlib(level: int) -> Callable[[bytes], bytes]:
    """Returns a function that compresses one block of data into a zlib stream (RFC 1950)."""
    import deflate

    _pinned("deflate", deflate.__version__, DEFLATE)
    return lambda data: bytes(deflate.zlib_compress(data, level))


def gzip(level: int) -> Callable[[bytes], bytes]:
    """Returns a function that compresses one block of data into a gzip member (RFC 1952)."""
    import deflate

    _pinned("deflate", deflate.__version__, DEFLATE)
    return lambda data: bytes(deflate.gzip_compress(data, level))


def zstd(level: int) -> Transform:
    """Returns a function that compresses blocks of about 128 KiB into zstd frames with size and without checksum."""
    import zstandard

    _pinned("zstandard", zstandard.__version__, ZSTANDARD)
    own, parameters = threading.local(), _block_parameters(level)

    def compress(blocks: Sequence[bytes]) -> Sequence[bytes | memoryview]:
        if not hasattr(own, "compressor"):
            own.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        if len(blocks) < 2:
            return list(map(own.compressor.compress, blocks))
        # a single call acquires Python's lock once
        return [memoryview(frame) for frame in own.compressor.multi_compress_to_buffer(blocks)]

    return compress


def _block_parameters(level: int) -> Any:
    """Returns zstd's parameters of `level` for small blocks.

    Levels 7 to 9 use `lazy` with twice the search instead of `lazy2`: 7 % faster for 0.10 to 0.16 % more bytes.
    """
    from zstandard import STRATEGY_DFAST, STRATEGY_LAZY, STRATEGY_LAZY2, ZstdCompressionParameters

    default: Any = ZstdCompressionParameters.from_level(level, source_size=BLOCK)
    tables = ("hash_log", "chain_log") if default.strategy == STRATEGY_DFAST else ("hash_log",)
    changes = {name: min(getattr(default, name), BLOCK_TABLE_LOG) for name in tables}
    if default.strategy == STRATEGY_LAZY2 and default.search_log < BLOCK_SEARCH_LOG:
        changes = {"strategy": STRATEGY_LAZY, "search_log": default.search_log + 1}
    return ZstdCompressionParameters.from_level(level, source_size=BLOCK, write_checksum=False, **changes)


def lz4(level: int) -> Callable[[bytes], bytes]:
    """Returns a function that compresses one block of data into a raw LZ4 block (high compression, levels 1 to 12)."""
    block = lz4_block()
    from lz4.version import version

    _pinned("lz4", version, LZ4)
    return lambda data: bytes(block.compress(data, mode="high_compression", compression=level, store_size=False))


def lz4_block() -> Any:
    """Returns the module `lz4.block`. LackingPackage if it is not installed: there is no wheel of it for musl."""
    try:
        from lz4 import block
    except ImportError:
        raise LackingPackage(f"LZ4 needs the Python package lz4 {LZ4}: pip install 'nodekiln[lz4]'") from None
    return block


def block_compressor(compression: Compression) -> Transform:
    """Returns the function for blocks of a compression in a spec. InvalidCompression for `none`."""
    if compression.name == "none":
        raise InvalidCompression("compress: none: this format compresses; choose zstd or gzip")
    if compression.name == "zstd":
        return zstd(compression.level)
    compress = zlib(compression.level)
    return lambda blocks: list(map(compress, blocks))


def _codec(compression: Compression, size: int) -> Codec:
    if compression.name == "zstd":
        return _zstd(compression.level, size)
    return _Gzip(compression.level, size) if compression.name == "gzip" else _Plain()


def _zstd(level: int, size: int) -> Codec:
    """Compresses into one frame with a checksum, so that damaged images are detected (RFC 8878, 3.1.1)."""
    import zstandard

    _pinned("zstandard", zstandard.__version__, ZSTANDARD)
    window = min(WINDOW_LOG, max(zstandard.WINDOWLOG_MIN, size.bit_length()))
    default = zstandard.ZstdCompressionParameters.from_level(level, source_size=size, window_log=window)
    high = level >= HIGH_LEVEL
    tables = {name: min(getattr(default, name), maximum) for name, maximum in HIGH_LEVEL_TABLES.items()} if high else {}
    parameters: Any = zstandard.ZstdCompressionParameters.from_level(
        level,
        **tables,
        source_size=size,
        threads=WORKERS,
        window_log=window,
        job_size=HIGH_LEVEL_JOB if high else JOB,
        overlap_log=OVERLAP_LOG - high,
        enable_ldm=True,
        ldm_hash_rate_log=FAR_RATE_LOG,
        write_checksum=True,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).chunker(size=size, chunk_size=OUTPUT_CHUNK)


class _Gzip:
    """Compresses into one member (RFC 1952) with libdeflate, all at once."""

    def __init__(self, level: int, size: int) -> None:
        if size > MAX_GZIP:
            raise InvalidCompression(f"{size} bytes exceed the limit of gzip: use zstd")
        self._data = bytearray()
        self._gzip = gzip(level)

    def compress(self, data: bytes) -> Iterable[bytes]:
        self._data += data
        return ()

    def finish(self) -> Iterable[bytes]:
        return (self._gzip(bytes(self._data)),)


class _Plain:
    def compress(self, data: bytes) -> Iterable[bytes]:
        return (data,)

    def finish(self) -> Iterable[bytes]:
        return ()


def _pinned(package: str, installed: str, pinned: str) -> None:
    """RuntimeError for another release, which may have other output under the same VERSION."""
    if installed != pinned:
        raise RuntimeError(f"{package} {installed} is installed, but output is pinned to {pinned}: install that")
