"""Compression (row 16) and what layers claim to unpack to (27)."""

from __future__ import annotations

import gzip
from typing import Any

from tests.attacks.attack import attack
from tests.oci import craft
from tests.oci.craft import archive
from tests.oci.stacks import f


def zstd(data: bytes, **options: Any) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(**options).compress(data)


def huge_window(_: bytes) -> bytes:
    """A frame that asks for 2 GiB of memory: RFC 8878, 3.1.1.1.2; exponent 21 is 2^31."""
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + b"\x01\x00\x00"


SMALL = archive(f("x"))
attack("gzip bomb", [16], [bytes(300 << 20)], "grow beyond")
attack("zstd bomb", [16], [bytes(300 << 20)], "grow beyond 268435456", compress=zstd)
attack(
    "bomb of two layers",
    [16],
    [archive(f("x", bytes(140 << 20))), archive(f("y", bytes(140 << 20)))],
    "grow beyond 268435456",
)
attack(
    "gzip in many members",
    [16],
    [SMALL],
    paths="x",
    compress=lambda data: b"".join(gzip.compress(data[n : n + 7]) for n in range(0, len(data), 7)),
)
attack(
    "empty gzip members",
    [16],
    [SMALL],
    paths="x",
    compress=lambda data: gzip.compress(b"") * 5000 + gzip.compress(data),
)
attack(
    "many zstd frames",
    [16],
    [SMALL],
    paths="x",
    compress=lambda data: b"".join(zstd(data[n : n + 7]) for n in range(0, len(data), 7)),
)
attack(
    "zstd frames to skip",
    [16],
    [SMALL],
    paths="x",
    compress=lambda data: b"\x50\x2a\x4d\x18\x05\0\0\0hello" + zstd(data),
)
attack("zstd window of 2 GiB", [16], [SMALL], "broken zstd", compress=huge_window)
attack("zeros after gzip", [16], [SMALL], paths="x", compress=lambda data: gzip.compress(data) + bytes(100_000))
attack(
    "something after gzip",
    [16],
    [SMALL],
    "followed by something else",
    compress=lambda data: gzip.compress(data) + b"junk",
)
attack(
    "something after zeros after gzip",
    [16],
    [SMALL],
    "followed by something else",
    compress=lambda data: gzip.compress(data) + bytes(70_000) + b"j",
)
attack("something after zstd", [16], [SMALL], "broken zstd", compress=lambda data: zstd(data) + b"junkjunk")
attack("gzip that is cut off", [16], [SMALL], "cut off", compress=lambda data: gzip.compress(data)[:-9])
attack("zstd that is cut off", [16], [SMALL], "diff id", compress=lambda data: zstd(data)[:-9])
attack(
    "gzip with a wrong check",
    [16],
    [SMALL],
    "broken gzip|diff id",
    compress=lambda data: gzip.compress(data)[:-8] + bytes(8),
)
attack("xz", [16], [SMALL], "diff id", compress=lambda data: __import__("lzma").compress(data))
attack("something after the archive", [16], [SMALL + b"hidden" * 1000], paths="x")

attack("diff id of another layer", [27], [SMALL], "not to its diff id", diff_ids=[craft.digest(archive(f("popular")))])
attack("too few diff ids", [27], [SMALL, SMALL], "2 layers, but 1 diff ids", diff_ids=[craft.digest(SMALL)])
