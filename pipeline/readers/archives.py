"""Concatenated archives: gzip, zstd and xz files, and initial RAM disks.

Source: Documentation/driver-api/early-userspace/buffer-format.rst: any number of cpio archives, each compressed on its
own or not at all, separated by zeros. RFC 1952 (gzip), RFC 8878 (zstd), the .xz file format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pipeline.readers import Listing, Node, Reader, StructureError, cpio
from pipeline.readers.view import CHUNK, ConcatView, DecompressedView, View, ViewSlice, sha256, subview

ZSTD_RUN, ZSTD_RESERVED = 1, 3
"""Types of blocks: one byte, repeated; and one that does not exist."""
FIRST_BLOCK = 192 << 10
"""Compressed bytes that are certain to hold the first of the others: a zstd block has at most 128 KiB."""
LARGEST_WINDOW = 1 << 27
"""Maximum window of a zstd frame, in bytes: what the kernel allows, and `zstd --ultra -22` needs."""
FEED = 4 << 10
"""Compressed bytes that are decompressed at a time. They expand to at most 128 MiB (zstd, all of one byte) in
memory."""


class _CompressedStream(NamedTuple):
    """A compressed stream inside a view."""

    compression: str
    start: int
    end: int


def recognises(view: View) -> bool:
    return compression_of(view.read(0, 6)) is not None


def read(view: View) -> Listing:
    """Lists `archive 1`, `archive 2`, …: the decompressed content of each.

    A stream that does not start with an archive continues the previous one.
    """
    members: list[tuple[_CompressedStream, list[View]]] = []
    known: dict[object, View] = {}
    for stream in _streams(view):
        content = _content(view, stream)
        if content.identity is not None:  # the holes of a disk are one stream, again and again
            content = known.setdefault(content.identity, content)
        if members and not _starts_archive(view, stream):
            members[-1][1].append(content)
        else:
            members.append((stream, [content]))
    return {f"archive {number}": _node(*member) for number, member in enumerate(members, 1)}


def _node(stream: _CompressedStream, parts: list[View]) -> Node:
    content = parts[0] if len(parts) == 1 else ConcatView(ViewSlice(part, 0, part.size) for part in parts)
    return Node("archive", {"compression": stream.compression}, content, {"offset": stream.start})


def _starts_archive(view: View, stream: _CompressedStream) -> bool:
    if stream.compression == "none":
        return True
    head = view.read(stream.start, min(FIRST_BLOCK, stream.end - stream.start))
    try:
        return bool(_codec(stream.compression).decompress(head)[:6].startswith(cpio.MAGICS))
    except Exception as error:  # each library has an error of its own
        raise StructureError(f"the {stream.compression} stream at byte {stream.start} is damaged: {error}") from None


def _streams(view: View) -> Iterator[_CompressedStream]:
    offset = _past_zeros(view, 0)
    while offset < view.size:
        compression = compression_of(view.read(offset, 6))
        if compression is None:
            raise StructureError(f"neither an archive nor a compressed stream at byte {offset}")
        end = cpio.end(view, offset) if compression == "none" else _end(view, offset, compression)
        yield _CompressedStream(compression, offset, end)
        offset = _past_zeros(view, end)


def compression_of(magic: bytes) -> str | None:
    """Returns the compression that the first 6 bytes of a stream identify: `none` for an uncompressed archive, None if
    unknown."""
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


def _content(view: View, stream: _CompressedStream) -> View:
    part = subview(view, stream.start, stream.end - stream.start)
    if stream.compression == "none":
        return part
    identity = (stream.compression, sha256(part))  # equal streams need not be decompressed to be known as equal
    return DecompressedView(lambda: inflate(part, 0, stream.compression, lambda end: None), identity)


def _end(view: View, start: int, compression: str) -> int:
    """Returns the end of the stream that begins at `start`. Only zstd's can be found without decompressing."""
    if compression == "zstd":
        return _zstd_end(view, start)
    ends: list[int] = []
    for _ in inflate(view, start, compression, ends.append):
        pass
    return ends[0]


def _zstd_end(view: View, start: int) -> int:
    """The end of a zstd frame: its header (RFC 8878, 3.1.1.1), its blocks, and a checksum if there is one."""
    descriptor = view.read(start + 4, 1)[0]
    single = descriptor >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor >> 6]
    at = start + 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content_size
    last = 0
    while not last:
        header = int.from_bytes(view.read(at, 3), "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == ZSTD_RUN else size)
        if at > view.size or kind == ZSTD_RESERVED:
            raise StructureError(f"the zstd stream at byte {start} has no end")
    return at + 4 * (descriptor >> 2 & 1)


def inflate(view: View, start: int, compression: str, done: Callable[[int], object]) -> Iterator[bytes]:
    """Yields the stream at `start` decompressed, then calls `done` with its end. StructureError if it is damaged."""
    codec = _codec(compression)
    offset = start
    while not codec.eof:
        data = view.read(offset, FEED)
        if not data:
            raise StructureError(f"the {compression} stream at byte {start} has no end")
        offset += len(data)
        try:
            yield codec.decompress(data)
        except Exception as error:  # each library has an error of its own
            raise StructureError(f"the {compression} stream at byte {start} is damaged: {error}") from None
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


READER = Reader("archives", recognises, read)
