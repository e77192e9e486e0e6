"""Streams that are stored or compressed, as samples say: any tool gets the bytes back, and none grows by much."""

import gzip
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.compression import compress
from pipeline.writers import store_or_deflate
from pipeline.writers.store_or_deflate import LONG, PAGE, STORED, STRETCH

NOISE = random.Random(5).randbytes(300_000)
TEXT = b"a line that comes again\n" * 12_500
EDGES = (
    0,
    1,
    STORED,
    STORED + 1,
    STRETCH,
    2 * STRETCH + 7,
    len(NOISE),
)
sizes = st.sampled_from(EDGES) | st.integers(0, len(NOISE))


@given(sizes, sizes)
@settings(max_examples=80)
def test_the_bytes_come_back(noise, text):
    data = NOISE[:noise] + TEXT[:text]
    stream = store_or_deflate.zlib_stream(compress.zlib(1), data)
    member = store_or_deflate.gzip_member(compress.gzip(1), data)
    assert zlib.decompress(stream) == gzip.decompress(member) == data
    most = len(data) + 5 * (len(data) // STORED + 1) + 18
    assert len(stream) <= most
    assert len(member) <= most + 6 + PAGE if len(member) > LONG else len(member) <= most
    assert len(member) < LONG or not len(member) % PAGE


@pytest.mark.parametrize(("data", "stored"), [(NOISE, True), (TEXT, False), (NOISE + TEXT, False), (b"", False)])
def test_what_would_become_smaller_is_compressed(data, stored):
    calls = []

    def deflate(data):
        calls.append(len(data))
        return zlib.compress(data)

    store_or_deflate.zlib_stream(deflate, data)
    assert (len(data) in calls) != stored
