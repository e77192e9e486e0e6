"""Compression by name (`zstd:12`, `gzip`, `none`), and a Sink that compresses into another Sink.

The same input gives the same bytes on every machine and with any number of cores. That takes three rules:

- one pinned library for each format (VERSION names them; whoever compresses puts it into its own VERSION);
- one code path: zstd always through its multi-threaded encoder, in jobs of a fixed size, because the single-threaded
  one gives other bytes; gzip always through libdeflate, because zlib is whatever the system links;
- nothing of the clock or the host in a header (RFC 1952: MTIME 0; RFC 8878).

Both results are read by the kernel's initramfs loader (lib/decompress_unzstd.c, lib/decompress_inflate.c).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.model.errors import BadInput
from pipeline.model.tree import Content, Read, Sink, Transform

ZSTANDARD = "0.25.0"
"""The pinned release of `zstandard`; its wheels carry libzstd 1.5.7."""
DEFLATE = "0.9.0"
"""The pinned release of `deflate`, which carries libdeflate."""
LZ4 = "4.4.5"
"""The pinned release of `lz4`."""
VERSION = f"4 zstandard-{ZSTANDARD} deflate-{DEFLATE}"

WINDOW_LOG = 25
"""How far back zstd looks for a repetition: 32 MiB. Go programs repeat each other at that distance, which saves 14 %
of a node; the machine that boots needs this much memory for a moment. The kernel's limit is 2^27."""
JOB = 12 << 20
"""Bytes that one zstd worker compresses at a time; part of the format's bytes, so it is fixed. zstd holds up to twelve
jobs' worth of memory, where nothing can be compressed; with 8 MiB the result is a per cent larger."""
WORKERS = 2
"""Threads of one zstd stream, each on a job of its own. More would cost 50 MB of memory each; at least one, always:
the bytes do not depend on how many."""
OVERLAP_LOG = 9
"""Each job sees a whole window of the job before it."""
FAR_RATE_LOG = 7
"""zstd's long-distance matcher notes every 2^7th place: it finds what levels below 10 have forgotten by then. With it
level 4 is as small as level 6 without, in half the time, and level 9 takes a third less."""
HIGHEST = 19
"""From this level on a worker's tables take 80 MB, so that they grow no further, and the rest is kept small: jobs of
HIGHEST_JOB bytes, each of which sees half as much of what comes before it. A process that makes an initrd stays below
300 MB, at every level; level 22 would take 900 MB, to save 0.01 %."""
HIGHEST_JOB = 8 << 20
HIGHEST_TABLES = {"chain_log": 24, "hash_log": 22}
BLOCK = 128 << 10
"""Bytes of a block, where blocks are compressed one by one: zstd's levels are made for others, so that some are changed
(`_of_blocks`)."""
BLOCK_TABLE_LOG = 16
"""Entries of a table of hashes, at most: with twice as many it leaves the processor's cache. Level 4 takes 4 % less
time for 0.08 % more bytes."""
BLOCK_SEARCH_LOG = 6
"""Places that zstd compares at most for one place of a block, whatever it is told: 64."""
WHOLE = 1 << 30
"""libdeflate needs its input whole: more than this is refused rather than held in memory."""
PIECE = 1 << 20
"""Bytes of output that are handed on at a time: many jobs may have ended when the next byte goes in."""
ZERO_RUN = bytes(1 << 20)

LEVELS = {"zstd": (1, 4, 22), "gzip": (1, 6, 12), "none": (0, 0, 0)}
"""Lowest, default and highest level. Measured on the fragments of benchmarks/incremental.py's node, 299 MiB, two cores:
zstd:1 1.1 s 98 MB, zstd:4 1.7 s 87 MB, zstd:9 4.7 s 80 MB, zstd:12 9.2 s 79 MB; gzip:6 4.7 s 102 MB."""

_large = threading.Lock()
"""Held by a zstd stream of more than one job: two at once would gain nothing and need twice 200 MB."""


class InvalidCompression(BadInput):
    """A name that is not `zstd[:level]`, `gzip[:level]` or `none`, or content that it cannot carry."""


class Compression(NamedTuple):
    name: str
    level: int

    def __str__(self) -> str:
        return self.name if self.name == "none" else f"{self.name}:{self.level}"


def parse(unsafe_text: str) -> Compression:
    """The compression that `zstd[:level]`, `gzip[:level]` or `none` names; InvalidCompression for anything else."""
    name, colon, unsafe_level = unsafe_text.partition(":")
    if name not in LEVELS or (colon and name == "none"):
        raise InvalidCompression(f"unknown compression {unsafe_text!r}: wanted zstd[:level], gzip[:level] or none")
    low, default, high = LEVELS[name]
    if not colon:
        return Compression(name, default)
    if not unsafe_level.isascii() or not unsafe_level.isdecimal() or not low <= int(unsafe_level[:4]) <= high:
        raise InvalidCompression(f"{name} has levels {low} to {high}, not {unsafe_level!r}")
    return Compression(name, int(unsafe_level))


class Codec(Protocol):
    """What compresses one stream: `compress` may keep input back, `finish` ends the frame. Output comes in pieces."""

    def compress(self, data: bytes) -> Iterable[bytes]: ...
    def finish(self) -> Iterable[bytes]: ...


class CompressingSink:
    """A Sink whose bytes arrive compressed at `out`."""

    def __init__(self, codec: Codec, out: Sink, read: Read) -> None:
        self._codec = codec
        self._out = out
        self._read = read
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        for packed in self._codec.compress(data):
            self._out.write(packed)

    def extend(self, content: Content) -> None:
        for data in self._read(content):
            self.write(data)

    def zeros(self, count: int) -> None:
        while count:
            size = min(count, len(ZERO_RUN))
            self.write(ZERO_RUN[:size])
            count -= size

    def tell(self) -> int:
        """Bytes that went in so far."""
        return self._size

    def close(self) -> None:
        """End the frame; nothing may be written afterwards."""
        for packed in self._codec.finish():
            self._out.write(packed)


@contextlib.contextmanager
def compressor(compression: Compression, size: int, out: Sink, read: Read) -> Iterator[CompressingSink]:
    """A Sink that compresses the `size` bytes it is given into one frame (zstd) or member (gzip) at `out`.

    `read` gets it the bytes of content that it is extended with. InvalidCompression where gzip's whole-buffer limit is
    passed; ValueError if another number of bytes arrives than was announced.
    """
    many_jobs = compression.name == "zstd" and size > (HIGHEST_JOB if compression.level >= HIGHEST else JOB)
    with _large if many_jobs else contextlib.nullcontext():
        sink = CompressingSink(_codec(compression, size), out, read)
        yield sink
        if sink.tell() != size:
            raise ValueError(f"{sink.tell()} bytes were written where {size} were announced")
        sink.close()


def zlib(level: int) -> Callable[[bytes], bytes]:
    """A function that makes a zlib stream (RFC 1950) of a block of data, for formats that compress block by block."""
    import deflate

    _pinned("deflate", deflate.__version__, DEFLATE)
    return lambda data: bytes(deflate.zlib_compress(data, level))


def gzip(level: int) -> Callable[[bytes], bytes]:
    """The same with gzip members (RFC 1952), which may stand in a row."""
    import deflate

    _pinned("deflate", deflate.__version__, DEFLATE)
    return lambda data: bytes(deflate.gzip_compress(data, level))


def zstd(level: int) -> Transform:
    """The same with zstd frames, which say their size and carry no checksum, for many blocks of up to 128 KiB or so."""
    import zstandard

    _pinned("zstandard", zstandard.__version__, ZSTANDARD)
    own, parameters = threading.local(), _of_blocks(level)

    def compress(some: Sequence[bytes]) -> Sequence[bytes | memoryview]:
        if not hasattr(own, "compressor"):
            own.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        if len(some) < 2:
            return list(map(own.compressor.compress, some))
        # one call, so that Python's lock is not waited for between two blocks
        return [memoryview(each) for each in own.compressor.multi_compress_to_buffer(some)]

    return compress


def _of_blocks(level: int) -> Any:
    """zstd's parameters of `level` for small blocks.

    Levels 7 to 9 look ahead twice for something longer. To look ahead once, among twice as many places, takes 7 % less
    time for 0.10 to 0.16 % more bytes.
    """
    from zstandard import STRATEGY_DFAST, STRATEGY_LAZY, STRATEGY_LAZY2, ZstdCompressionParameters

    usual: Any = ZstdCompressionParameters.from_level(level, source_size=BLOCK)
    tables = ("hash_log", "chain_log") if usual.strategy == STRATEGY_DFAST else ("hash_log",)
    other = {name: min(getattr(usual, name), BLOCK_TABLE_LOG) for name in tables}
    if usual.strategy == STRATEGY_LAZY2 and usual.search_log < BLOCK_SEARCH_LOG:
        other = {"strategy": STRATEGY_LAZY, "search_log": usual.search_log + 1}
    return ZstdCompressionParameters.from_level(level, source_size=BLOCK, write_checksum=False, **other)


def lz4(level: int) -> Callable[[bytes], bytes]:
    """The same with raw LZ4 blocks, searched well: levels 1 to 12."""
    import lz4.block
    import lz4.version

    _pinned("lz4", lz4.version.version, LZ4)
    return lambda data: bytes(lz4.block.compress(data, mode="high_compression", compression=level, store_size=False))


def block_compressor(compression: Compression) -> Transform:
    """`zlib` or `zstd`, as a spec names them; InvalidCompression for `none`."""
    if compression.name == "none":
        raise InvalidCompression("compress: none: this format compresses; choose zstd or gzip")
    if compression.name == "zstd":
        return zstd(compression.level)
    one = zlib(compression.level)
    return lambda some: list(map(one, some))


def _codec(compression: Compression, size: int) -> Codec:
    if compression.name == "zstd":
        return _zstd(compression.level, size)
    return _Gzip(compression.level, size) if compression.name == "gzip" else _Plain()


def _zstd(level: int, size: int) -> Codec:
    """One frame, with a checksum so that whoever unpacks a damaged image refuses it (RFC 8878, 3.1.1)."""
    import zstandard

    _pinned("zstandard", zstandard.__version__, ZSTANDARD)
    window = min(WINDOW_LOG, max(zstandard.WINDOWLOG_MIN, size.bit_length()))
    usual = zstandard.ZstdCompressionParameters.from_level(level, source_size=size, window_log=window)
    high = level >= HIGHEST
    tables = {name: min(getattr(usual, name), most) for name, most in HIGHEST_TABLES.items()} if high else {}
    parameters: Any = zstandard.ZstdCompressionParameters.from_level(
        level,
        **tables,
        source_size=size,
        threads=WORKERS,
        window_log=window,
        job_size=HIGHEST_JOB if high else JOB,
        overlap_log=OVERLAP_LOG - high,
        enable_ldm=True,
        ldm_hash_rate_log=FAR_RATE_LOG,
        write_checksum=True,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).chunker(size=size, chunk_size=PIECE)


class _Gzip:
    """A member (RFC 1952) through libdeflate, which takes it whole."""

    def __init__(self, level: int, size: int) -> None:
        if size > WHOLE:
            raise InvalidCompression(f"gzip needs its input in memory: {size} bytes are too many (use zstd)")
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


def _pinned(package: str, installed: str, wanted: str) -> None:
    """A compressor of another release gives other bytes under the same VERSION: refuse it."""
    if installed != wanted:
        raise RuntimeError(f"{package} {installed} is installed, but output is pinned to {wanted}: install that one")
