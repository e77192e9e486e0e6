"""A kernel's version, configuration, command line and modules, read from files.

Source: Documentation/arch/x86/boot.rst (the header of a bzImage); scripts/extract-ikconfig of the kernel (IKCFG_ST).
A kernel may be compressed with gzip, xz, zstd or LZ4. Other compressions are not read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from pipeline.compression import compress
from pipeline.ondisk import bzimage
from pipeline.readers import Listing, StructureError, archives
from pipeline.readers.view import DecompressedView, View, chunks, subview

START, END = b"IKCFG_ST", b"IKCFG_ED"
LZ4 = b"\x02\x21\x4c\x18"
LZ4_BLOCK = 8 << 20
LARGEST_LZ4 = LZ4_BLOCK + LZ4_BLOCK // 255 + 16
"""Maximum size of an LZ4 block, in bytes: one that cannot be compressed."""
LARGEST_LINE = 64 << 10
"""Maximum size of a file with a command line, in bytes; the kernel's limit is 2 to 4 KiB."""
CONFIG = re.compile(r"(?:.*/)?(?:config-\d[^/]*|kernel[-_]config)")
"""Names of a kernel's configuration file in distributions."""
MODULE = re.compile(r"(?:usr/)?lib/modules/[^/]+/(.*)\.ko(?:\.gz|\.xz|\.zst)?")


def version(view: View) -> str:
    """Returns the version of a bzImage (`6.1.0-18-amd64 (…) …`); "" for other files."""
    header = _header(view)
    at = header.kernel_version if header else 0
    return view.read(bzimage.VERSION_BASE + at, 256).partition(b"\0")[0].decode("latin-1") if at else ""


def _header(view: View) -> Any:
    """Returns the set-up header of a bzImage; None for another file."""
    size = bzimage.HEADER.size
    header = bzimage.HEADER.unpack(view.read(bzimage.OFFSET, size).ljust(size, b"\0"))
    return header if header.header == bzimage.MAGIC else None


def config(view: View) -> str:
    """Returns the configuration in a kernel (CONFIG_IKCONFIG); "" if it has none."""
    for data in _unpacked(view):
        start = data.find(START)
        if start >= 0:
            end = data.find(END, start)
            return zlib.decompress(data[start + len(START) : end], wbits=31).decode("latin-1")
    return ""


def _unpacked(view: View) -> Iterator[bytes]:
    """Yields the decompressed kernel: the file (on arm64 possibly gzip), or the payload of a bzImage."""
    payload = view
    if header := _header(view):
        setup = (header.setup_sects or 4) + 1
        payload = subview(view, setup * bzimage.SECTOR + header.payload_offset, header.payload_length)
    compression = archives.compression_of(payload.read(0, 6))
    if payload.read(0, 4) == LZ4:
        yield b"".join(chunks(DecompressedView(lambda: _lz4(payload.read(4, payload.size)))))
    elif compression is not None:
        yield b"".join(chunks(DecompressedView(lambda: archives.inflate(payload, 0, compression, lambda end: None))))
    elif payload is view:
        yield b"".join(chunks(view))


def _lz4(data: bytes) -> Iterator[bytes]:
    """Decompresses a legacy frame of LZ4 (lz4_Frame_format.md, "Legacy frame"): blocks with their sizes, to the end of
    the file or an impossible size (a bzImage has its own size there)."""
    block = compress.lz4_block()

    at = 0
    while 0 < (size := int.from_bytes(data[at : at + 4], "little")) <= LARGEST_LZ4 and at + 4 + size <= len(data):
        try:
            yield block.decompress(data[at + 4 : at + 4 + size], uncompressed_size=LZ4_BLOCK)
        except block.LZ4BlockError as error:
            raise StructureError(f"the block at byte {at + 4} is damaged: {error}") from None
        at += 4 + size


def command_line(path: str, view: View) -> str | None:
    """Returns the command line in the file `path`: `…cmdline`, syslinux.cfg, grub.cfg or a loader entry; else None."""
    name = path.rpartition("/")[2].lower()
    if view.size > LARGEST_LINE:
        return None
    text = view.read(0, LARGEST_LINE).rstrip(b"\0").decode("utf-8", "replace")
    if name.endswith(("cmdline", "cmdline.txt")):
        return text.strip()
    if name.endswith((".cfg", ".conf")):
        match = re.search(r"^\s*(?:APPEND|options|linux(?:efi)?\s+\S+)[ \t]+(.*)$", text, re.MULTILINE | re.IGNORECASE)
        return match[1].strip() if match else None
    return None


def modules(root: Listing) -> set[str]:
    """Returns the paths of the kernel's modules below lib/modules/VERSION, without suffix."""
    return {match[1] for path in root if (match := MODULE.fullmatch(path))}
