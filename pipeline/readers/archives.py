"""Rows of archives: gzip, zstd and xz files, and initial RAM disks, which are archives one behind the other.

Source: Documentation/driver-api/early-userspace/buffer-format.rst: any number of cpio archives, each compressed on its
own or not at all, with zeros between them. RFC 1952 (gzip), RFC 8878 (zstd), the .xz file format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pipeline.readers import Listing, Node, Unreadable, cpio
from pipeline.readers.view import CHUNK, Extent, Inflated, Mosaic, View, window

NAME = "archives"
ORDER = 10

LARGEST_WINDOW = 1 << 31
"""Memory that a zstd frame may ask for: what `zstd --ultra --long=31` makes."""


class _Stream(NamedTuple):
    """A compressed stream inside a view."""

    compression: str
    start: int
    end: int


def recognises(view: View) -> bool:
    return compression(view.read(0, 6)) is not None


def read(view: View) -> Listing:
    """`archive 1`, `archive 2`, …: what each holds, decompressed.

    A stream that does not start with an archive continues the one before it.
    """
    members: list[tuple[_Stream, list[View]]] = []
    for stream in _streams(view):
        content = _content(view, stream)
        if members and not content.read(0, 6).startswith(cpio.MAGICS):
            members[-1][1].append(content)
        else:
            members.append((stream, [content]))
    return {f"archive {number}": _node(*member) for number, member in enumerate(members, 1)}


def _node(stream: _Stream, parts: list[View]) -> Node:
    content = parts[0] if len(parts) == 1 else Mosaic(Extent(part, 0, part.size) for part in parts)
    return Node("archive", {"compression": stream.compression}, content, {"offset": stream.start})


def _streams(view: View) -> Iterator[_Stream]:
    offset = _past_zeros(view, 0)
    while offset < view.size:
        compression = compression(view.read(offset, 6))
        if compression is None:
            raise Unreadable(f"neither an archive nor a compressed stream at byte {offset}")
        end = cpio.end(view, offset) if compression == "none" else _end(view, offset, compression)
        yield _Stream(compression, offset, end)
        offset = _past_zeros(view, end)


def compression(magic: bytes) -> str | None:
    starts: dict[bytes | tuple[bytes, ...], str] = {
        b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", cpio.MAGICS: "none",
    }  # fmt: skip
    return next((name for start, name in starts.items() if magic.startswith(start)), None)


def _past_zeros(view: View, offset: int) -> int:
    while data := view.read(offset, CHUNK):
        rest = data.lstrip(b"\0")
        offset += len(data) - len(rest)
        if rest:
            return offset
    return view.size


def _content(view: View, stream: _Stream) -> View:
    part = window(view, stream.start, stream.end - stream.start)
    if stream.compression == "none":
        return part
    return Inflated(lambda: inflate(part, 0, stream.compression, lambda end: None))


def _end(view: View, start: int, compression: str) -> int:
    """Where the stream that begins at `start` ends: only decompressing it tells."""
    ends: list[int] = []
    for _ in inflate(view, start, compression, ends.append):
        pass
    return ends[0]


def inflate(view: View, start: int, compression: str, done: Callable[[int], object]) -> Iterator[bytes]:
    """The decompressed pieces of one stream; then `done` is told the offset behind it."""
    codec = _codec(compression)
    offset = start
    while not codec.eof:
        data = view.read(offset, CHUNK)
        if not data:
            raise Unreadable(f"the {compression} stream at byte {start} has no end")
        offset += len(data)
        try:
            yield codec.decompress(data)
        except Exception as error:  # each library has an error of its own
            raise Unreadable(f"the {compression} stream at byte {start} is damaged: {error}") from None
    done(offset - len(codec.unused_data))


def _codec(compression: str) -> Any:
    """A decompressor of one stream, with `eof` and `unused_data` (as zlib's has)."""
    if compression == "gzip":
        import zlib

        return zlib.decompressobj(wbits=31)
    if compression == "xz":
        import lzma

        return lzma.LZMADecompressor()
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
