"""Compression: the same bytes always, and others' tools read them."""

import itertools
import sys
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.compression import compress
from pipeline.compression.compress import Compression, InvalidCompression, LackingPackage, compressor, parse
from pipeline.model.tree import Slice
from tests.judges import need, run
from tests.writers import samples

NAMES = ["zstd:1", "zstd", "zstd:19", "gzip", "gzip:12", "none"]


@pytest.fixture(scope="session")
def store(session_store):
    return session_store


def packed(store, name, chunks):
    out = store.rope()
    with compressor(parse(name), sum(map(len, chunks)), out, store.read) as sink:
        for chunk in chunks:
            sink.write(chunk)
    return samples.read(store, out.finish())


@pytest.mark.parametrize(("text", "means"), [
    ("zstd", Compression("zstd", 4)), ("zstd:19", Compression("zstd", 19)), ("gzip:9", Compression("gzip", 9)),
    ("gzip", Compression("gzip", 6)), ("none", Compression("none", 0)),
])  # fmt: skip
def test_names(text, means):
    assert parse(text) == means
    assert parse(str(means)) == means


@pytest.mark.parametrize("text", ["", "xz", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd:٣", "gzip:13", "none:1"])
def test_other_names_are_refused(text):
    with pytest.raises(InvalidCompression):
        parse(text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, 3_000_000])
def test_others_unpack_it(store, tmp_path, name, size):
    data = samples.noise(size // 2) + bytes(size - size // 2)
    (tmp_path / "packed").write_bytes(packed(store, name, [data]))
    tool = {"zstd": [need("zstd"), "-dc"], "gzip": [need("gzip"), "-dc"], "none": [need("cat", "coreutils")]}
    done = run(*tool[name.partition(":")[0]], tmp_path / "packed", text=False, errors=None)
    assert done.stdout == data


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=4), name=st.sampled_from(NAMES))
def test_the_bytes_do_not_depend_on_how_they_arrive(store, data, cuts, name):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert packed(store, name, chunks) == packed(store, name, [data])


def test_content_and_holes_go_in_by_reference(store):
    data = samples.noise(5000)
    out = store.rope()
    with compressor(parse("zstd"), 9000, out, store.read) as sink:
        sink.extend((*store.content(data), Slice(None, 0, 1000)))
        sink.zeros(3000)
        assert sink.tell() == 9000
    assert samples.read(store, out.finish()) == packed(store, "zstd", [data + bytes(4000)])


@pytest.mark.parametrize("name", ["zstd:3", "zstd:19"])
def test_the_bytes_do_not_depend_on_the_number_of_workers(store, monkeypatch, name):
    monkeypatch.setattr(compress, "JOB", 1 << 20)
    monkeypatch.setattr(compress, "HIGH_LEVEL_JOB", 1 << 20)
    data = [samples.noise(1 << 20) + bytes(1 << 20)] * 4
    results = set()
    for workers in (1, 2, 5):
        monkeypatch.setattr(compress, "WORKERS", workers)
        results.add(packed(store, name, data))
    assert len(results) == 1


def test_a_wrong_size_is_noticed(store):
    with pytest.raises(ValueError, match="instead of"), compressor(parse("none"), 3, store.rope(), store.read) as sink:
        sink.write(b"ab")


def test_gzip_refuses_what_it_would_have_to_hold_in_memory(store):
    with pytest.raises(InvalidCompression, match="zstd"), compressor(parse("gzip"), 2 << 30, store.rope(), store.read):
        pass


def test_another_release_of_a_compressor_is_refused(store, monkeypatch):
    monkeypatch.setattr(compress, "ZSTANDARD", "0.1")
    with pytest.raises(RuntimeError, match="pinned"):
        packed(store, "zstd", [b"x"])


@pytest.mark.parametrize("name", ["zstd:1", "zstd", "zstd:8", "zstd:15", "gzip"])
@given(st.lists(st.integers(1, 1 << 17), min_size=1, max_size=9))
@settings(max_examples=10, deadline=None)
def test_a_block_becomes_what_it_is_alone(name, sizes):
    work = compress.block_compressor(parse(name))
    some = [(samples.noise(size // 3, str(size)) * 3 + b"end" * size)[:size] for size in sizes]
    created = list(map(bytes, work(some)))
    assert created == [bytes(work([data])[0]) for data in some]
    unpack = zstandard.ZstdDecompressor().decompress if name.startswith("zstd") else zlib.decompress
    assert list(map(unpack, created)) == some


def test_lz4_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "lz4", None)
    for use in (lambda: compress.lz4(9), compress.lz4_block):
        with pytest.raises(
            LackingPackage, match=r"^LZ4 needs the Python package lz4 4\.4\.5: pip install 'nodekiln\[lz4\]'$"
        ):
            use()
