"""squashfs' metadata: compressed blocks of 8 KiB that tables, inodes and directories run through (squashfs.rst)."""

from __future__ import annotations

import struct
from typing import Any

from pipeline.ondisk import Structure
from pipeline.ondisk.squashfs import METADATA_SIZE, UNCOMPRESSED_METADATA
from pipeline.readers import StructureError
from pipeline.readers.view import View

LARGEST = 256 << 20
"""Maximum number of bytes that are read at once: the block list of a file of 64 TiB."""


class Metadata:
    """Metadata blocks by where they start. All of them stay in memory: an image has few MiB of them."""

    def __init__(self, view: View, compression: str) -> None:
        self._view = view
        self._compression = compression
        self._blocks: dict[int, tuple[bytes, int]] = {}

    def block(self, at: int) -> tuple[bytes, int]:
        """The block that starts at `at`, and where the next one does."""
        if at not in self._blocks:
            (size,) = struct.unpack("<H", self._view.read(at, 2))
            stored = self._view.read(at + 2, size & ~UNCOMPRESSED_METADATA)
            raw = size & UNCOMPRESSED_METADATA
            data = stored if raw else decompress(stored, self._compression, METADATA_SIZE)
            self._blocks[at] = data, at + 2 + (size & ~UNCOMPRESSED_METADATA)
        return self._blocks[at]

    def at(self, start: int, reference: int) -> Stream:
        """Returns a stream of the table at `start`, from `reference` (block << 16 | offset) on."""
        return Stream(self, start + (reference >> 16), reference & 0xFFFF)


class Stream:
    """Metadata read from a place on, across blocks."""

    def __init__(self, metadata: Metadata, at: int, offset: int) -> None:
        self._metadata, self._offset = metadata, offset
        self._data, self._next = metadata.block(at)

    def take(self, count: int) -> bytes:
        if count > LARGEST:
            raise StructureError(f"{count} bytes of metadata at once")
        data = self._data[self._offset : self._offset + count]
        self._offset += len(data)
        while len(data) < count:
            self._data, self._next = self._metadata.block(self._next)
            if not self._data:
                raise StructureError("metadata that ends early")
            more = self._data[: count - len(data)]
            self._offset = len(more)
            data += more
        return data

    def unpack(self, structure: Structure) -> Any:
        return structure.unpack(self.take(structure.size))


def table(metadata: Metadata, start: int, count: int, structure: Structure) -> list[Any]:
    """Returns the `count` records of the table whose list of metadata blocks is at `start`."""
    blocks = -(-count * structure.size // METADATA_SIZE)
    where = struct.unpack(f"<{blocks}Q", metadata._view.read(start, blocks * 8))
    data = b"".join(metadata.block(at)[0] for at in where)
    return list(structure.iter_unpack(data[: count * structure.size]))


def decompress(data: bytes, compression: str, limit: int) -> bytes:
    """One block, of at most `limit` bytes. StructureError if it is damaged."""
    try:
        if compression == "gzip":
            import zlib

            return zlib.decompressobj().decompress(data, limit)
        if compression == "xz":
            import lzma

            return lzma.LZMADecompressor().decompress(data, limit)
        import zstandard

        return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit)
    except Exception as error:  # each library has an error of its own
        raise StructureError(f"a damaged {compression} block: {error}") from None
