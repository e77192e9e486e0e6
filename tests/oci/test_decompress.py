"""Decompression: right, whatever way a layer was packed, and bounded."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci.decompress import Budget, decompress, read_ahead
from pipeline.oci.error import Refusal
from pipeline.store import CHUNK

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zlib's own": lambda data: zlib.compress(data, wbits=31),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "zstd of unknown size": lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data),
}


def unpacked(data: bytes) -> bytes:
    return b"".join(decompress(io.BytesIO(data), Budget(len(data))))


@pytest.mark.parametrize("packer", PACKERS)
@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
def test_any_number_of_members(packer: str, parts: list[bytes]) -> None:
    packed = b"".join(map(PACKERS[packer], parts))
    assert unpacked(packed) == b"".join(parts)


@given(data=st.binary(max_size=3000))
def test_what_is_not_compressed_stays(data: bytes) -> None:
    plain = b"tar" + data
    assert unpacked(plain) == plain


@given(
    data=st.binary(max_size=200), kind=st.sampled_from([b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"])
)
def test_garbage_is_refused_or_gives_bytes(data: bytes, kind: bytes) -> None:
    with contextlib.suppress(Refusal):
        unpacked(kind + data)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bomb_comes_out_in_small_pieces_and_is_stopped(packer: str) -> None:
    packed = PACKERS[packer](bytes(32 << 20))
    sizes: list[int] = []
    with pytest.raises(Refusal, match=r"grow beyond 10000000"):
        for chunk in decompress(io.BytesIO(packed), Budget(len(packed), free=10_000_000, ratio=1)):
            sizes.append(len(chunk))
    assert max(sizes) <= CHUNK and sum(sizes) <= 10_000_000


def test_layers_share_a_budget() -> None:
    budget = Budget(100, free=150)
    list(decompress(io.BytesIO(b"x" * 100), budget))
    with pytest.raises(Refusal):
        list(decompress(io.BytesIO(b"x" * 100), Budget(100, free=150, ratio=1, size=50)))
    with pytest.raises(Refusal):
        for _ in range(300):
            list(decompress(io.BytesIO(b"x" * 100), budget))


def test_reading_ahead_gives_the_same_and_passes_errors_on() -> None:
    assert list(read_ahead(iter([b"a", b"b"]))) == [b"a", b"b"]

    def broken() -> object:
        yield b"a"
        raise Refusal("here")

    with pytest.raises(Refusal, match=r"here"):
        list(read_ahead(broken()))  # type: ignore[arg-type]


def test_reading_ahead_ends_its_thread_when_nobody_listens() -> None:
    import threading

    before = threading.active_count()
    stream = read_ahead(iter([b"x"] * 1000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
