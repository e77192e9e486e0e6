"""A host file's sum is its sha256, remembered or not."""

import hashlib

import pytest

from pipeline.engine import host_digests


@pytest.mark.parametrize("size", [0, 1000, host_digests.LARGE, host_digests.LARGE + 1])
def test_the_sum_is_the_sha256_first_and_again_and_after_a_change(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    for data in (bytes(size), b"x" * size):
        path.write_bytes(data)
        for _ in range(2):
            assert host_digests.sha256(path) == hashlib.sha256(data).hexdigest()
    assert host_digests.MEMORY.exists() == (size >= host_digests.LARGE)


def test_a_broken_memory_is_no_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    host_digests.MEMORY.write_text("{")
    path = tmp_path / "file"
    path.write_bytes(bytes(host_digests.LARGE))
    assert host_digests.sha256(path) == hashlib.sha256(bytes(host_digests.LARGE)).hexdigest()
